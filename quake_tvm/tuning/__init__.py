"""Tuning: find where a model spends its time, measure candidates there, and record the best."""
