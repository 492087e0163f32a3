"""Published markers, to compare with."""
