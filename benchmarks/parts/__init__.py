"""The parts of the speed benchmark, one file each."""
