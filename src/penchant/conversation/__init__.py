"""Memory of conversations: instructions that are kept word for word, and episodes that are found again (Rhea)."""
