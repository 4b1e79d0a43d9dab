"""The systems that the papers compare with: their architectures written down, and counted exactly. They have no weights."""
