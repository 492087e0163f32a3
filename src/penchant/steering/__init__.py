"""Steering: a user's vectors are made, fitted, stored and applied."""
