"""The recogniser finds nonlinearities and loses no guard, limit, threshold or epsilon.

On random chains with planted guards, the recogniser's sites are compared with mpmath. Compiled
chains, many in one module, are compared with float64 and the registry's bounds.
"""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from tvm import relax

import quake_tvm
from quake_tvm.passes.quake import find_sites
from quake_tvm.passes.recognize_elementwise import find
from quake_tvm.passes.relax.graph import Graph
from tests.helpers import function, module

from .chains import EXPONENTIAL, FLOAT, in_range, of_registry, planted, points, value, wrong
from .test_recognize_elementwise import FORMS

# The rounding error of a float32 step, and the magnitudes that may be flushed to zero.
ROUNDING = 2.0**-21
TINY, SUBNORMAL = 2.0**-125, 2.0**-148


def count(seeds: Iterable[int]) -> Counter:
    """Chains by how much of their nonlinearity was found. Fails if a site is wrong."""
    found: Counter[str] = Counter()
    for seed in seeds:
        chain = planted(seed, FORMS)
        graph = Graph(function(chain.build, (1,)))
        sites = find(graph)
        for site in sites:
            assert wrong(graph, site) is None, (chain.name, site.operator, wrong(graph, site))
        whole = chain.operator in {site.operator for site in sites}
        assert whole or not chain.whole, chain.name
        found["whole" if whole else "part" if sites else "none"] += 1
        found["without a guard inside"] += chain.whole
    return found


def test_no_guard_is_lost() -> None:
    assert count(range(100))["whole"] >= 60


@pytest.mark.sweep
def test_no_guard_is_lost_in_ten_thousand_chains() -> None:
    found = count(range(10_000))
    print(dict(found))
    assert found["whole"] >= 7000


def envelope(main: relax.Function, x: np.ndarray, method: str) -> np.ndarray:
    """Values that rounding and the bounds allow, one row for each combination of errors."""
    graph, (source,) = Graph(main), main.params
    root = list(graph.values)[-1]
    sites = [] if method == "exact" else find_sites(graph)
    rng, rows = np.random.default_rng(0), []
    for of_site in (-1, 0, 1) * 5:

        def after(kind: str, y: np.ndarray) -> np.ndarray:
            if y.dtype == bool:
                return y
            # TVM expands tanh, nn.gelu and similar operators, with 1 + erf(x) and exp(x) - 1.
            written_out = "nn." in kind or kind == "tanh"
            absolute = ROUNDING if written_out else TINY if kind in EXPONENTIAL else SUBNORMAL
            relative, absolute = rng.uniform(-1, 1, 2) * (ROUNDING, absolute)
            return in_range(kind, y * (1 + relative) + absolute)

        known = {source: x}
        for site in sites:
            at = value(graph, site.args[0], known, FLOAT, np.float64, after)
            y = of_registry(FLOAT, site.operator, at, **site.attributes)
            bound = quake_tvm.bound(site.operator, method)
            error = (bound.relative + ROUNDING) * np.abs(y) + bound.absolute + TINY
            known[site.var] = in_range("", y + of_site * error)
        rows.append(value(graph, root, known, FLOAT, np.float64, after))
    return np.stack(rows)


def check_compiled(seeds: range) -> None:
    chains = [planted(seed, FORMS) for seed in seeds]
    x = points(Graph(function(lambda x: tuple(chain.build(x) for chain in chains))), ())
    x = np.concatenate([x, -np.geomspace(1e-3, 200, 50), np.geomspace(1e-3, 200, 49)])
    x = x.astype(np.float32).astype(float)
    mod = module(lambda x: tuple(chain.build(x) for chain in chains), x.shape)
    for method in ("exact", "quake3"):
        outputs = quake_tvm.compile(mod, method=method).run(x.astype(np.float32))
        for chain, found in zip(chains, outputs, strict=True):
            with np.errstate(all="ignore"):
                rows = envelope(function(chain.build, x.shape), x, method)
                low, high = rows.min(axis=0), rows.max(axis=0)
                slack = (high - low) + 4 * ROUNDING * np.maximum(abs(low), abs(high)) + TINY
                inside = (found >= low - slack) & (found <= high + slack)
                same = np.all(np.isfinite(rows), axis=0)
                if "reciprocal" in chain.name:  # the operand may be on either side of zero
                    same &= np.sign(low) == np.sign(high)
            bad = np.nonzero(same & ~inside)[0]
            assert not len(bad), (
                f"{chain.name} on {method}: {found[bad[:3]]} at {x[bad[:3]]}, "
                f"expected {low[bad[:3]]} to {high[bad[:3]]}"
            )


@pytest.mark.slow
def test_compiled_chains_keep_their_guards() -> None:
    check_compiled(range(20_000, 20_040))


@pytest.mark.sweep
def test_many_compiled_chains_keep_their_guards() -> None:
    for start in range(30_000, 31_000, 100):
        check_compiled(range(start, start + 100))
