"""The pages of the site that stand outside of ``docs/``: MkDocs calls these functions.

On the site CONTRIBUTING.md is contributing.md, and so on; links to and from it follow.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_ROOT = Path(__file__).parent


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside."""
    for name in OUTSIDE:
        text = (_ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name.lower(), content=_inside(text)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to the files outside to their pages on the site."""
    return _inside(markdown)


def _inside(text: str) -> str:
    names = "|".join(map(re.escape, OUTSIDE))
    return re.sub(rf"\]\((?:\.\./)?({names})", lambda found: f"]({found[1].lower()}", text)
