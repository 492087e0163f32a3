"""How well standing instructions are detected."""
