"""Models by name: what is published, how files are fetched and verified, and the cache."""
