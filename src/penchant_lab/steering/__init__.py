"""Learned steering, for comparison."""
