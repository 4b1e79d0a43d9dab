"""How weights are updated: optimizers, schedules, averages."""
