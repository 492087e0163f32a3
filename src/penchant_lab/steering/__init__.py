"""Learned steering that the bench measures against."""
