"""What a training step costs on TPUs that need not be there, estimated from the program that the compiler makes."""
