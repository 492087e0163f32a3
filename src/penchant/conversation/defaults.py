"""Sizes of prompts and answers where nobody chooses others."""

BUDGET = 2048
"""Limit of a prompt, in tokens."""
NOTES = 0.25
"""Share of a prompt for the profile of the user's history."""
MAX_NEW_TOKENS = 256
"""Limit of an answer, in tokens."""
