"""Speed and memory of marking, beside other ways to read a history: `penchant bench speed`."""
