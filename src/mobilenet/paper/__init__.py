"""The papers, given back: each claim with the published number, ours, a verdict and the command that makes it, as one page."""
