"""Running methods on items, and what is kept of a run."""
