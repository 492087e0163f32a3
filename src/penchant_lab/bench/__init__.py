"""Running methods on the items of a task, and the journal of a run."""
