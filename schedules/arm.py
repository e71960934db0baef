"""Default parameters for ARM, by architecture and, for 64 bits, by the issue order of the CPU.

Tables only. The numbers are counted by llvm-mca 19 from the code that LLVM 22 generates, not timed.
Kernels were compiled for cortex-a72, neoverse-n1 and cortex-a53.

Tiles, as vectors x rows, with the multiply-adds in a cycle for products of 128 rows. Out of order
4x6 and 3x8 gave 3.89 on the A72 (at most 4) and 7.61 on the N1 (at most 8), 4x4 3.83 and 7.42, and
1x16 3.73 and 7.43. In order, on the A53, 4x4 gave 1.66, 5x4 1.62, 3x8 1.37, and 1x16 0.67.

Vectors in one iteration, with the cycles for an element. exp on quake2 took 2.40 with four vectors,
2.53 with two and 2.85 with one on the A72, and 1.63, 1.65 and 1.80 on the N1. gelu took 7.1, 7.3
and 9.5 on the A72, and 4.63, 4.58 and 4.68 on the N1. For CPUs that issue in order LLVM unrolls by
itself, and more vectors then spill. On the A53 sigmoid took 10.2 with two vectors, 11.5 with one
and 10.8 with four; gelu on quake5 took 27, 34 and 35.

llvm-mca has no model for 32 bits: these tiles are what fits in sixteen registers.
"""

# CPUs that issue in order. All others, and generic targets, are assumed to issue out of order.
IN_ORDER = ("cortex-a53", "cortex-a55", "cortex-a510", "cortex-a520", "cortex-a35")

# Register tiles of a matrix product: vectors of columns mapped to rows, best first.
TILES = {4: 6, 3: 8, 2: 8, 1: 16}
TILES_IN_ORDER = {4: 4, 3: 4, 2: 6, 1: 8}
TILES_32_BIT = {3: 4, 2: 6, 1: 8}

# Vectors in one iteration of an element-wise kernel, best first.
SEVERAL = (4, 2)
SEVERAL_IN_ORDER = (2,)
SEVERAL_32_BIT = (2,)
