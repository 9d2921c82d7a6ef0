"""Several runs of training that differ in some options and in the random seed."""
