"""Weights from elsewhere, read as one model: recognise the library, map its tensors, check every shape."""
