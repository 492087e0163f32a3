"""Detectors of instructions, for comparison."""
