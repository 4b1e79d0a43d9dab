"""Two runtimes of a model on the same images: what differs, and whether an export may be written."""
