"""A user's steering vectors: made, fitted, kept and applied."""
