"""Conversations: sessions, the prompt under a budget, past exchanges found again."""
