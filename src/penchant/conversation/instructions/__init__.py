"""Standing instructions: finding them, their scope, what ends them."""
