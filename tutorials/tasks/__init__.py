"""Real tasks: the effect of the rungs on accuracy with labelled data, one task a file."""
