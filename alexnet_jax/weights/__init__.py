"""Reading and writing the weights of this project, PyTorch and Caffe."""
