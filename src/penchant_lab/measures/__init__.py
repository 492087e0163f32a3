"""Metrics, intervals, and guards against leaks."""
