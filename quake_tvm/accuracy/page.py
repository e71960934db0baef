"""Write the findings as the tables of ``docs/accuracy/every_float32.md``.

Measures nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..numerics.operators import OPERATORS

_MEASURES = ("relative", "ulp", "absolute")
# Counts that should be 0, with their description.
WRONG = {
    "sign": "of the wrong sign",
    "range": "outside of the exact function's range",
    "odd": "with f(-x) other than -f(x)",
    "nan": "NaN for a number or a number for NaN",
    "special": "wrong at an infinity or a zero",
}


def wrong(counts: Mapping[str, int]) -> int:
    """How many results have a wrong sign, are out of range, not odd, NaN, or wrong at 0 and inf."""
    return sum(counts.get(name, 0) for name in WRONG)


def cells(operator: str, method: str, found: Mapping[str, Any], digest: str) -> dict[str, str]:
    """One line of the table, by column.

    Parameters
    ----------
    operator, method : str
    found : mapping
        The findings, as :meth:`Findings.to_dict` returns them.
    digest : str
        The hash of the results.
    """
    line = {"operator": operator, "rung": method}
    for name in _MEASURES:
        measure = found[name]
        line[name] = f"{measure['max']:.3g}"
        line[f"{name} at"] = "" if measure["at"] is None else f"{measure['at']:.9g}"
        line[f"{name} mean"] = f"{measure['mean']:.3g}"
    counts = found["counts"]
    rising = OPERATORS[operator].rising
    line["falls"] = (f"{counts['falls']:,}" if counts["falls"] else "none") if rising else ""
    line["fall"] = f"{found['fall']['max']:.3g}" if counts["falls"] else ""
    line["wrong"] = f"{wrong(counts):,}" if wrong(counts) else "none"
    line["inf"] = ", ".join(f"{counts[k]:,} {k}" for k in ("early", "late") if counts[k])
    return line | {"hash": digest[:12]}


def section(entries: Mapping[str, Any]) -> str:
    """The section "exhaustive", from all recorded findings."""
    table = [
        cells(operator, method, found, found["hash"])
        for operator, entry in entries.items()
        for method, found in entry["rungs"].items()
    ]
    header = [_row(table[0]), _row("---" for _ in table[0])]
    lines = [*header, *(_row(line.values()) for line in table)]
    return "\n\n".join([_INTRODUCTION, "\n".join(lines), *_results(entries), _runs(entries)])


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


_INTRODUCTION = """\
Every element-wise operator on every rung, compiled, for each of the 2^32 float32 inputs. The
results are compared with exact values that are right when rounded to float32 (from libm in float64,
or from mpmath where float64 cannot decide). `quake-tvm accuracy --exhaustive OPERATOR RUNG` repeats
the run.

*relative* and *ulp* are the largest errors after subtracting the contract's absolute term;
*absolute* is the largest error without that. Each comes with the input where it occurs, and with
the mean over all inputs whose exact value is finite in float32. That mean is over bit patterns,
most of which are very small or very large numbers, where little can go wrong. *falls* counts, where
the exact function rises, pairs of neighbouring inputs of which the larger gives the smaller result;
*fall* is the largest of these steps in ulp. *wrong* counts results of the wrong sign, outside of
the exact function's range, not odd where the function is, NaN for a number or a number for NaN, or
wrong at an infinity or a zero. *inf* counts infinities that come early or late. *hash* is the
beginning of the SHA-256 of all results; the whole hash, and the histogram of errors in ulp, are in
[exhaustive.json](exhaustive.json)."""


def _rungs(entries: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, int]]]:
    return [
        (operator, method, found["counts"])
        for operator, entry in entries.items()
        for method, found in entry["rungs"].items()
    ]


def _results(entries: Mapping[str, Any]) -> list[str]:
    """The table summarized in sentences."""
    rungs = _rungs(entries)
    rising: dict[str, list[str]] = {name: [] for name in entries if OPERATORS[name].rising}
    for operator, method, counts in rungs:
        if operator in rising and not counts["falls"]:
            rising[operator].append(method)
    monotone = "; ".join(f"{name} on {', '.join(m)}" for name, m in rising.items() if m)
    told = [f"Monotone over all float32: {monotone or 'none'}."]
    for kind, what in WRONG.items():
        found = [f"{o} on {m} ({c[kind]:,})" for o, m, c in rungs if c.get(kind)]
        if found:
            told.append(f"Results {what}: {'; '.join(found)}.")
    if not any(wrong(counts) for _, _, counts in rungs):
        told.append(
            "No result has the wrong sign or is outside of the exact function's range; odd "
            "functions are odd to the bit; every NaN gives NaN and nothing else does; zeros and "
            "infinities are right."
        )
    return ["\n".join(told)]


def _runs(entries: Mapping[str, Any]) -> str:
    """The date, CPU, target and versions of each run."""
    runs: dict[str, list[str]] = {}
    for operator, entry in entries.items():
        versions = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
        text = f"{entry['date']}, {entry['cpu']}, target {entry['target']}; {versions}"
        runs.setdefault(text, []).append(operator)
    return "\n".join(f"{', '.join(names)}: {text}." for text, names in runs.items())
