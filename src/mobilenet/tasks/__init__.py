"""Outputs to answers: labels, boxes or masks, and how they are scored."""
