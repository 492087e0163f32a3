"""Memories of a conversation, for comparison."""
