"""A rung for every site of a model, so that its own error stays within a budget."""
