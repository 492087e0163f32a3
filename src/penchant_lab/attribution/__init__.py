"""How well the user's own words are told from others'."""
