"""Detectors of instructions, to compare with."""
