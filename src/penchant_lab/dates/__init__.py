"""How well dates in a request are found, and what they do to the marks."""
