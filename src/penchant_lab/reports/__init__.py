"""What a bench measured, as a page to read."""
