"""Estimates the cost of a training step on TPUs from the compiled program. No TPU is needed."""
