"""The contract between the workstation and the gateway: one ONNX file that carries all it needs."""
