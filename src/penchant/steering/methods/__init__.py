"""One file per steering method."""
