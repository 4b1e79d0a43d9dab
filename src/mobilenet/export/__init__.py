"""Other formats, written from a network and its weights."""
