"""Real tasks: what the rungs cost in accuracy on labelled data, one task a file."""
