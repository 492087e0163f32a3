"""Memories of a conversation that the bench measures against."""
