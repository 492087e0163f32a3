"""Banks and fitted states, in memory and on disk."""
