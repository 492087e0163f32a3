"""Banks and the fitted state of users, in memory and on disk."""
