"""The sample histories and the demo."""
