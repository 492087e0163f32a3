"""Finding standing instructions in what a user says."""
