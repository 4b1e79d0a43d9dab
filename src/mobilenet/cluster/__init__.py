"""Prediction on many machines: inputs in parts, each answered by one process and written once, on Ray Data."""
