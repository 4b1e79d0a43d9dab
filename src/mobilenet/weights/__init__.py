"""Where published weights live, how they are fetched and verified, and how each layout of names is read."""
