"""What of a conversation the model reads, one file per memory."""
