"""Reports of a bench, and the generated parts of the documentation."""
