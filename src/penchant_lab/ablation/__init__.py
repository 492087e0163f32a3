"""What each choice in marking by attention is worth, one at a time: `penchant bench ablate`."""
