"""Training: recipes, the one loop for all tasks, checkpoints that survive a kill. Needs the extra ``[train]``."""
