"""What a turn leaves behind, all mechanisms together, on turns that were written without knowing them."""
