"""From contrasts to vectors: activations and gradients at named sites."""
