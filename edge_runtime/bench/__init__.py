"""What `edge-detect bench` measures."""
