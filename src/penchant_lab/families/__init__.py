"""Tiny random models of every family, and the table of what works with each."""
