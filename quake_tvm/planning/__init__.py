"""Choose rungs and precisions for a model, so that the model's error stays within a budget."""
