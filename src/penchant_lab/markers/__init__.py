"""Published markers, for comparison."""
