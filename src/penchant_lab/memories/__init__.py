"""Memories of a conversation, to compare with."""
