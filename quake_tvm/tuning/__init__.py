"""Tuning: what a model spends its time in, candidates for it, measured, and the best as records."""
