"""The data that steering is fitted on: pairs, contrasts, feedback."""
