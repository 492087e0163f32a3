"""How well statements in a user's turns are found."""
