"""Choices for ARM, by architecture or, for 64 bits, by how the CPU issues. Tables only.

Counted by llvm-mca 19 from the code that LLVM 22 gives, not timed: kernels on cortex-a72,
neoverse-n1 and cortex-a53, in cycles an element and, for products of 128 rows, multiply-adds a
cycle.

Tiles: out of order 4x6 and 3x8 gave 3.89 on the A72 (at most 4) and 7.61 on the N1 (at most 8), 4x4
3.83 and 7.42, 1x16 3.73 and 7.43; in order, on the A53, 4x4 gave 1.66, 5x4 1.62, 3x8 1.37, 1x16
0.67.

Vectors side by side: exp on quake2 2.40 with four vectors, 2.53 with two, 2.85 with one on the
A72, and 1.63, 1.65, 1.80 on the N1; gelu 7.1, 7.3, 9.5 and 4.63, 4.58, 4.68. For CPUs that issue in
order LLVM unrolls by itself, and spills much of what it is given: on the A53 sigmoid takes 10.2
with two vectors, 11.5 with one, 10.8 with four, gelu on quake5 27, 34 and 35.

For 32 bits llvm-mca has no model: the tiles are what fits sixteen registers.
"""

# CPUs that issue in order; others, and code for any CPU, are taken to reorder.
IN_ORDER = ("cortex-a53", "cortex-a55", "cortex-a510", "cortex-a520", "cortex-a35")

# Register tiles of a matrix product: vectors of columns to rows, best first.
TILES = {4: 6, 3: 8, 2: 8, 1: 16}
TILES_IN_ORDER = {4: 4, 3: 4, 2: 6, 1: 8}
TILES_32_BIT = {3: 4, 2: 6, 1: 8}

# Vectors of an element-wise kernel side by side, best first.
SEVERAL = (4, 2)
SEVERAL_IN_ORDER = (2,)
SEVERAL_32_BIT = (2,)
