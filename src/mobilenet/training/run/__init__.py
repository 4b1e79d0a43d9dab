"""One run from start to end: the loop, checkpoints, logs, scoring."""
