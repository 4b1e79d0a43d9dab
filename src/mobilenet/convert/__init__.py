"""Weights from elsewhere, read as one model: recognize the library, map its tensors, check every shape."""
