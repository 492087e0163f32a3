"""How well wishes about what is kept are understood."""
