"""What a run is told: recipes as frozen values."""
