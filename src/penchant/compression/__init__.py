"""From marks to a profile: budget, packing, rewriting, checking, prompts."""
