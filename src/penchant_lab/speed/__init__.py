"""Speed and memory: `penchant bench speed`."""
