"""Metrics, intervals, and the guards of a fair comparison."""
