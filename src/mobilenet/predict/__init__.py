"""A model in use: images to answers, and its score on labeled images."""
