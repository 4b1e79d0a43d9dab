"""Labelled images: the layouts that people keep them in, read as records."""
