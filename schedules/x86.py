"""Choices for x86-64, by float32 lanes of the vector registers. Tables only.

Measured on an AMD EPYC (znver5), one thread, products of 128 rows and 384 to 3072 columns with a
GELU behind them, in GFLOP/s: with 16 lanes 8x3 gave 199-215, 4x4 188-208, 8x2 189-205, 12x2
164-202, 16x1 171-188; with 8 lanes 4x3 gave 99-107, 6x2 97-103, 8x2 60 (it spills).
"""

# Register tiles of a matrix product as (rows, vectors of columns), best first. The first whose
# vectors divide the columns is taken.
TILES = {
    16: ((8, 3), (4, 4), (8, 2), (16, 1)),
    8: ((4, 3), (6, 2), (8, 1)),
    4: ((4, 3), (6, 2), (8, 1)),
}
