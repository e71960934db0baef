"""The cases of a product: every size has one, and its tile fits at least once."""

import itertools

import pytest
from tvm import sym, te

from quake_tvm.machines.targets import target
from quake_tvm.schedules import analysis, product, product_tiles
from quake_tvm.schedules.choice import RULE_DEFAULT
from quake_tvm.schedules.product_cases import NARROW, cases
from quake_tvm.schedules.tiles import substituted
from quake_tvm.tvm_version import tir
from tests.schedules.symbolic import sized, variables

TARGETS = ["x86-64-v2", "x86-64-v3", "x86-64-v4", "cortex-a53"]
SIZES = [*range(1, 20), *range(30, 35), 47, 48, 49, 63, 64, 65, 127, 128, 129, 300, 5000]


def found(*shapes):
    """The cases of a product of two operands, with its plan and its extents."""
    a, b = (sized(*shape, name=name) for shape, name in zip(shapes, "ab", strict=True))
    k = te.reduce_axis((0, a.shape[-1]), "k")
    y = te.compute(
        (*a.shape[:-1], b.shape[-1]),
        lambda *i: te.sum(a(*i[:-1], k) * b(*i[: len(b.shape) - 2], k, i[-1]), k),
    )
    sch = analysis.start(te.create_prim_func([a, b, y]))
    made = product.find(sch, analysis.blocks(sch))
    return made, [n if analysis.constant(n) is None else int(n) for n in y.shape]


def chosen(name, shapes, extents, sizes):
    """The plan at some sizes, and whether what is taken as known then is true."""
    made, shape = found(*shapes)
    rows, columns = (analysis.constant(shape[n]) for n in (made.row, made.column))
    plan = product_tiles.plan(made, rows, columns, None, target(name), RULE_DEFAULT)
    every = list(cases(shape, made, plan, target(name)))
    for size in sizes:
        pairs = [(n, tir.const(v, "int64")) for n, v in zip(extents, size, strict=True)]

        def holds(condition, pairs=pairs):
            return bool(int(sym.Analyzer().simplify(substituted(condition, pairs))))

        yield size, next(((tile, holds(given)) for when, given, tile in every if holds(when)), None)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("rows", [1, 17])
def test_every_count_of_columns_has_a_tile_that_fits(name, rows):
    (n,) = variables("n")
    shapes = [(rows, 5), (5, n)]
    for (columns,), case in chosen(name, shapes, [n], [(size,) for size in SIZES]):
        tile, known = case
        assert known
        assert tile.vectors * tile.lanes <= columns
        assert tile.rows <= rows


@pytest.mark.parametrize("name", TARGETS)
def test_every_count_of_rows_has_the_tile_of_as_many_static_rows(name):
    (m,) = variables("m")
    shapes = [(m, 5), (5, 96)]
    for (rows,), case in chosen(name, shapes, [m], [(size,) for size in SIZES]):
        tile, known = case
        assert known
        assert tile.rows <= rows
        assert tile.copied == (rows >= product_tiles.PACK_ROWS)
        assert -(-rows // tile.rows) * tile.rows < 2 * rows  # few rows are computed twice


def test_low_tiles_are_for_few_rows_only():
    """A tile of four rows and one vector has too few sums to hide the latency of additions."""
    (m,) = variables("m")
    sizes = [(n,) for n in (3, 15, 16, 20, 24, 1000, 1001)]
    made = chosen("x86-64-v4", [(m, 5), (5, 16)], [m], sizes)
    assert [case[0].rows for _, case in made] == [1, 4, 16, 4, 16, 16, 16]


def test_two_tiles_of_half_the_height_replace_one_that_hardly_saves_time():
    """Six rows of three vectors are computed as two tiles of three."""
    (m,) = variables("m")
    sizes = [(n,) for n in (3, 5, 6, 7, 8, 11, 12, 17, 18, 25)]
    made = chosen("x86-64-v4", [(m, 5), (5, 48)], [m], sizes)
    assert [case[0].rows for _, case in made] == [3, 5, 3, 7, 8, 3, 3, 3, 3, 7]


def test_narrow_tiles_are_as_high_as_hides_the_latency_of_additions():
    m, n = variables("mn")
    sizes = list(itertools.product([1, 2, 5, 8, 15, 300], [1, 3, 5, 12, 17]))
    for (rows, _), (tile, _) in chosen("x86-64-v4", [(m, 5), (5, n)], [m, n], sizes):
        assert tile.vectors == 1
        assert tile.rows == next(height for height in NARROW if height <= rows)


def test_a_large_batch_of_narrow_products_has_threads():
    (n,) = variables("n")
    made = chosen("x86-64-v3", [(4096, 1, 512), (4096, 512, n)], [n], [(1,), (3,), (12,)])
    assert all(case[0].parallel is not None for _, case in made)


@pytest.mark.parametrize("name", TARGETS)
def test_every_pair_has_a_tile_that_fits(name):
    m, n = variables("mn")
    few = [1, 3, 4, 7, 8, 15, 16, 31, 32, 47, 48, 100]
    pairs = list(itertools.product(few, few))
    for (rows, columns), case in chosen(name, [(m, 5), (5, n)], [m, n], pairs):
        tile, known = case
        assert known
        assert tile.rows <= rows
        assert tile.vectors * tile.lanes <= columns


def test_empty_result_has_no_case():
    m, n = variables("mn")
    empty = [(0, 0), (0, 5), (5, 0)]
    shapes = [(m, 5), (5, n)]
    assert all(case is None for _, case in chosen("x86-64-v3", shapes, [m, n], empty))


def test_threads_run_batches_if_rows_are_few_and_columns_if_batches_are():
    b, m, n = variables("bmn")
    sizes = [(1, 1, 33), (2, 8, 33), (9, 8, 33), (2, 300, 33), (9, 300, 33)]
    made = chosen("x86-64-v3", [(b, m, 128), (b, 128, n)], [b, m, n], sizes)
    assert [case[0].parallel for _, case in made] == [None, None, 0, 1, 0]


@pytest.mark.parametrize(("columns", "always"), [(512, True), (16, False)])
def test_heavy_weights_have_no_version_without_threads(columns, always):
    (m,) = variables("m")
    made, shape = found((m, 512), (512, columns))
    plan = product_tiles.plan(made, None, columns, None, target("x86-64-v4"), RULE_DEFAULT)
    every = [tile for _, _, tile in cases(shape, made, plan, target("x86-64-v4"))]
    assert all(tile.parallel is not None for tile in every) == always
