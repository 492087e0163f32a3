"""Erasing users, conversations and turns: cascade, lineage of what is derived, verification."""
