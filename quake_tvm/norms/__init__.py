"""Whether a model's norms survive float16 sums, and static scales with which they do.

After SLaNC (arXiv 2410.10553). A norm with epsilon e of x is the norm with epsilon s^2 e of s x. So
a power of two s, known from the weights, keeps the sum of squares within float16's range, and
changes no digit of the result.
"""
