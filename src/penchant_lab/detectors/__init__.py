"""Detectors of instructions that the bench measures against."""
