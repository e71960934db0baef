"""``python -m tests.layers``: the folders of this library by floors, and imports that go upwards.

A module may import from its own folder and from lower floors. Imports only for type checkers do not
count; imports inside functions do. Knows the folders, no module by name.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "quake_tvm": "quake_tvm",
    "passes": "quake_tvm.passes",
    "schedules": "quake_tvm.schedules",
}
# From the lowest floor to the highest.
FLOORS = [
    {"errors"},
    {"support"},
    {"tvm_version"},
    {"numerics", "plan_tables"},
    {"site_plan", "machines", "kernels", "lut"},
    {"options", "schedules"},
    {"report"},
    {"runtime"},
    {"passes"},
    {"importers", "relay_context"},
    {"build", "build_cache", "build_key"},
    {"compiler"},
    {"planning", "emulation", "integrations", "norms"},
    {"bench", "boards"},
    {"tuning", "accuracy", "lookup"},
    {"__init__"},  # the public names
    {"cli"},
]


def modules() -> dict[str, Path]:
    """Every module of the library, by its dotted name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            found[".".join([package, *parts])] = path
    return found


def room(module: str) -> str:
    """The folder of a module, or the name of a file directly in ``quake_tvm``."""
    return module.partition(".")[2].partition(".")[0] or "__init__"


def imports(module: str, every: dict[str, Path]) -> Iterator[str]:
    """The modules that a module imports."""
    path = every[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in _imports(ast.parse(path.read_text())):
        base = node.module or ""
        if node.level:
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, *filter(None, [node.module])])
        for alias in node.names:
            for name in (f"{base}.{alias.name}", base):
                if name in every:
                    yield name
                    break


def _imports(node: ast.AST) -> Iterator[ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.ImportFrom):
            yield child
        yield from _imports(child)


def upward(every: dict[str, Path]) -> list[tuple[str, str]]:
    """Imports from another folder that is not on a lower floor."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    return [
        (module, other)
        for module in every
        for other in imports(module, every)
        if room(other) != room(module)
        if floor[room(other)] >= floor[room(module)]
    ]


def circles(every: dict[str, Path]) -> list[list[str]]:
    """Folders that import each other, directly or through other folders."""
    uses: dict[str, set[str]] = {}
    for module in every:
        others = {room(other) for other in imports(module, every)}
        uses.setdefault(room(module), set()).update(others - {room(module)})
    reached = {name: set(others) for name, others in uses.items()}
    for _ in uses:
        for others in reached.values():
            others |= set().union(*(reached.get(other, set()) for other in others))
    return [sorted({name} | reached[name]) for name in uses if name in reached[name]]


def main() -> int:
    """The command."""
    every = modules()
    for number, names in reversed(list(enumerate(FLOORS))):
        print(f"{number:2}  {'  '.join(sorted(names))}")
    found = upward(every)
    rooms = {room(module) for module in every}
    print(f"{len(every)} modules in {len(rooms)} folders on {len(FLOORS)} floors")
    print(f"{len(found)} imports upwards, {len(circles(every))} circles")
    for module, other in found:
        print(f"{module} imports {other}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
