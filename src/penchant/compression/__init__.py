"""From marks to a profile: budget, packing, rewriting and its check, the prompt."""
