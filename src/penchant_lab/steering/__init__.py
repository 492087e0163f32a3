"""Learned steering, to compare with."""
