"""Conversations: sessions, prompts under a budget, retrieval of past exchanges."""
