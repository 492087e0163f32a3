"""What each choice in the attention index contributes: `penchant bench ablate`."""
