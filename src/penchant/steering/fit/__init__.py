"""Choosing layer, strength and weights, and checking them on the user's own answers."""
