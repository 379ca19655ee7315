"""The origins of values: file, environment, argument or default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class OriginKind(StrEnum):
    """The kind of source that a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    ARGUMENT = "argument"


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a value.

    Attributes:
        kind: The kind of source.
        name: The table (`[llm.fast]`) or the environment variable; empty for defaults and arguments.
        path: The file; None for defaults, arguments and the environment.
    """

    kind: OriginKind
    name: str = ""
    path: Path | None = None

    def locate(self, key: str) -> str:
        """Return the location of a key: file, table and key, or the variable, or the argument."""
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
    """Return a path for a message: relative to the working directory when it is below it."""
    if path is None:
        return ""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
