"""Recipes: all settings of a training run as one frozen value."""
