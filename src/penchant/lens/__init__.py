"""Reading queries, keys, attention rows and activations; calibrations."""
