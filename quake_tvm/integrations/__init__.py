"""This library inside other frameworks. Each module here imports its framework."""
