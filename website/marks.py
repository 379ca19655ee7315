"""Parts of a page that are written by a program, between two marks of it."""

from __future__ import annotations

import re
from pathlib import Path


def between(page: Path, name: str) -> str:
    """Return what is between the marks of a name."""
    return _split(page, name)[1]


def replace_between(page: Path, name: str, text: str) -> None:
    """Put a text between the marks of a name."""
    before, _, after = _split(page, name)
    page.write_text(f"{before}\n{text.strip()}\n{after}", encoding="utf-8")


def _split(page: Path, name: str) -> tuple[str, str, str]:
    pattern = rf"(.*<!-- {name}:begin[^>]*-->)\n(.*)\n(<!-- {name}:end -->.*)"
    found = re.fullmatch(pattern, page.read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise ValueError(f"{page} has no marks for {name}")
    return found[1], found[2], found[3]
