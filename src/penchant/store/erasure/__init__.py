"""Erasing a user, a record or a turn: cascade, lineage, verification."""
