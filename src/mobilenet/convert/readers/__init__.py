"""File formats of other libraries, read as plain tensors and graphs; nothing in them is ever run."""
