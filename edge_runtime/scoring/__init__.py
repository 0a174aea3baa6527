"""The scoring path: the ONNX session and what turns its output into verdicts."""
