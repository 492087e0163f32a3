"""What is compared: ways to bring a history into an answer."""
