"""What a conversation makes of what it knows about the user: framings of the prompt, and a scripted first hour."""
