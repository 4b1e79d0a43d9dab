"""Images in: find files, decode them, resize and normalise them for a network."""
