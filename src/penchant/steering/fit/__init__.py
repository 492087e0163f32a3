"""Choosing layer, strength and weights on other users, and checking the result on the user's own answers."""
