"""``quake-tvm cache`` in the shell: the builds that are kept on disk."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from .shell import AsJson, output, print_json


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all builds.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the builds that `cache=True` and --cache keep on disk, or remove them."""
    from datetime import datetime

    from .. import build_cache

    builds = build_cache.clear() if clear else build_cache.builds()
    size = sum(build.size for build in builds)
    if as_json:
        rows = [{**asdict(build), "path": str(build.path)} for build in builds]
        print_json({"folder": str(build_cache.folder()), "bytes": size, "builds": rows})
        return
    if builds and not clear:
        table = Table("build", "MB", "last used")
        for build in builds:
            used = datetime.fromtimestamp(build.used).isoformat(" ", "seconds")
            table.add_row(build.path.name, f"{build.size / 1e6:.1f}", used)
        output.print(table)
    what = "removed" if clear else "kept"
    count = f"{len(builds)} {'build' if len(builds) == 1 else 'builds'}"
    said = f"{what}: {count}, {size / 1e6:.1f} MB, in {build_cache.folder()}"
    output.print(said, markup=False, soft_wrap=True)
