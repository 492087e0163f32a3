"""Memories: they choose which parts of a conversation the model reads. One file per memory."""
