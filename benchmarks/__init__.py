"""Speed and memory of Penchant, beside what others do for the same end. See README.md in this folder."""
