"""Files that are replaced in one step, so that a kill leaves the old one or the new one, whole."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """Yield a new file beside another, which it replaces at the end of the block; if that fails, it is removed."""
    partial = partial_path(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            # The name must not reach the disk before the content does.
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Return the path of the new file."""
    return path.with_name(f".{path.name}.partial")
