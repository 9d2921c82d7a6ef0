"""Export of trained nets to ONNX and StableHLO."""
