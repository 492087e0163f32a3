"""The attention index: build, append, forget, score, quantize, persist."""
