"""Running a model: batches, positions, likelihood, generation, hooks."""
