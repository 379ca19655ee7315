"""Where the value of a field came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class OriginKind(StrEnum):
    """The kinds of sources a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    ARGUMENT = "argument"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        kind: The kind of source.
        name: The table (`[llm.fast]`) or the environment variable; empty for defaults and arguments.
        path: The file it stands in; None for defaults, arguments and the environment itself.
    """

    kind: OriginKind
    name: str = ""
    path: Path | None = None

    def locate(self, key: str) -> str:
        """Say where a key stands, as file, table and key."""
        if self.kind is OriginKind.FILE:
            return f"{shown_path(self.path)}: {self.name} {key}"
        if self.kind is OriginKind.DOTENV:
            return f"{shown_path(self.path)}: {self.name}"
        return f"{self.kind}: {self.name or key}"

    def __str__(self) -> str:
        if self.path is not None:
            return f"{self.name} in {shown_path(self.path)}"
        return f"{self.name} in the environment" if self.kind is OriginKind.ENVIRONMENT else str(self.kind)


DEFAULT = Origin(OriginKind.DEFAULT)
ARGUMENT = Origin(OriginKind.ARGUMENT)


def shown_path(path: Path | None) -> str:
    """Give a path as a message shows it: relative to the working directory when it is below."""
    if path is None:
        return ""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
