"""Real tasks: what rungs and formats cost on labelled data, one task a file."""
