"""What steering is fitted on: pairs, contrasts, feedback."""
