"""Choose a rung for every site of a model, so that the model's error stays within a budget."""
