"""Other formats: a model written as the file of another runtime, and that file run by it."""
