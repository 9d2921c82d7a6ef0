"""The operations of AlexNet and its preprocessing: plain forms here, forms for a CPU or TPU in ``backends``."""
