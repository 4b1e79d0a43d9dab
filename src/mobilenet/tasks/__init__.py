"""Outputs to answers: labels, boxes or masks, how they are scored, and how they are drawn."""
