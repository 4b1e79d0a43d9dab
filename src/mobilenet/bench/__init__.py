"""How fast: this engine and other runtimes on the same weights and image."""
