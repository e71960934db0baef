"""Writes the pages: ``python -m tests.reference``."""

from .pages import FOLDER, PAGES

FOLDER.mkdir(exist_ok=True)
for name, text in PAGES.items():
    (FOLDER / f"{name}.md").write_text(text())
    print(f"written: docs/reference/{name}.md")
