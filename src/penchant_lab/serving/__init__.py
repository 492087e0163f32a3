"""The server: what of a conversation is read from the prompt cache, and its speed beside transformers' own server"""
