"""Default parameters for x86-64, by float32 lanes of the vector registers. Tables only.

Measured on an AMD EPYC (znver5), one thread: products of 128 rows and 384 to 3072 columns, with a
GELU behind them, in GFLOP/s. Tiles are rows x vectors. With 16 lanes 8x3 gave 199-215, 4x4 188-208,
8x2 189-205, 12x2 164-202, 16x1 171-188. With 8 lanes 4x3 gave 99-107, 6x2 97-103, and 8x2 60,
because it spills.
"""

# Register tiles of a matrix product: vectors of columns mapped to rows, best first.
TILES = {
    16: {3: 8, 4: 4, 2: 8, 1: 16},
    8: {3: 4, 2: 6, 1: 8},
    4: {3: 4, 2: 6, 1: 8},
}

# Vectors in one iteration of an element-wise kernel, best first.
SEVERAL = (4, 2)
