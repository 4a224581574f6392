"""Export to ONNX, for ONNX Runtime and OpenVINO."""
