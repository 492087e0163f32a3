"""Users' texts encrypted at rest, each user's with a key of its own that is destroyed with the user."""
