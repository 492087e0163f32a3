"""The methods of the bench: ways to bring a history into an answer."""
