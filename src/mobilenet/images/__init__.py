"""Images in: find files, decode them, resize and normalize them for a network."""
