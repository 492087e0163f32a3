"""Running a model: batches, positions, likelihood, generation, and hooks for attention and residual sites."""
