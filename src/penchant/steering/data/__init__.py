"""What steering is fitted on: contrasts and pairs of a user, feedback, other users' items."""
