"""torch's own operators on torch's own sample inputs, compiled and compared with eager.

`python -m tests.torch_operators` runs them and writes docs/torch_operators.md.
"""
