"""A float model to an integer model, without torch: ranges, equalization, rounding, and a report of what each layer lost."""
