"""How well standing instructions are found."""
