"""What runs a network, by name: the engine and its references, ONNX Runtime, OpenVINO, torch."""
