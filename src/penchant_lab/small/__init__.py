"""What small histories need: records that contradict each other, and what a rule against that costs elsewhere."""
