"""Environment variables, and the `.env` file that adds to them.

- A variable of the environment shadows the one of the same name in `.env`, even when it is empty. An empty variable
  counts as not set.
- Values in `.env` are taken literally: `$NAME` is not expanded, because keys and passwords may contain a `$`.
- `os.environ` is only read, never written, and read at each look-up, so that a rotated key is seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from .provenance import Origin, OriginKind, shown_path

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class Environment:
    """Variables with their origins.

    Args:
        variables: The variables; None for `os.environ`.
        dotenv: The `.env` file, which need not exist; None for the one in the working directory.
    """

    def __init__(self, variables: Mapping[str, str] | None = None, dotenv: Path | None = None) -> None:
        self._variables = None if variables is os.environ else variables
        self._dotenv = dotenv
        self._from_file: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"Environment(dotenv={self._dotenv})"

    def __getstate__(self) -> dict[str, object]:
        # The contents of the file stay out of pickles: they may include keys of other programs.
        return {"_variables": self._variables, "_dotenv": self._dotenv, "_from_file": None}

    @property
    def dotenv(self) -> Path:
        """The path of the `.env` file, whether it exists or not."""
        if self._dotenv is None:
            self._dotenv = Path.cwd() / ".env"
        return self._dotenv

    def get(self, name: str) -> str | None:
        """Return a variable; None when it is empty or not set."""
        variables = self._process_variables()
        return (variables[name] if name in variables else self._file_variables().get(name)) or None

    def find(self, prefix: str) -> dict[str, tuple[str, Origin]]:
        """Return the variables whose names start with a prefix, with their origins."""
        variables = self._process_variables()
        found = {
            name: (value, Origin(OriginKind.DOTENV, name, self.dotenv))
            for name, value in self._file_variables().items()
            if name.startswith(prefix) and name not in variables
        }
        for name, value in variables.items():
            if name.startswith(prefix):
                found[name] = (value, Origin(OriginKind.ENVIRONMENT, name))
        return {name: entry for name, entry in sorted(found.items()) if entry[0]}

    def _process_variables(self) -> Mapping[str, str]:
        return os.environ if self._variables is None else self._variables

    def _file_variables(self) -> Mapping[str, str]:
        if self._from_file is None:
            self._from_file = read_dotenv(self.dotenv)
        return self._from_file


def read_dotenv(path: Path) -> dict[str, str]:
    """Read a `.env` file; {} when it does not exist.

    Raises:
        ConfigError: The file cannot be read.
    """
    # A directory called `.env` is a virtual environment.
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # only a project with such a file pays for the import

    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    else:
        return {name: value for name, value in values.items() if value is not None}
    raise ConfigError(f"{shown_path(path)} cannot be read: {reason}.")


def parse_value(text: str, kind: type) -> object:
    """Convert the text of a variable; return it unchanged when it does not parse, so that validation reports it.

    Args:
        text: The value of the variable.
        kind: The type to convert to: bool (true/false, yes/no, on/off, 1/0 in any case), int, float, list (separated by
            commas, or JSON), dict (JSON), or str.
    """
    text = text if kind is str else text.strip()
    if kind is bool:
        word = text.lower()
        return word in _TRUE if word in _TRUE | _FALSE else text
    if kind in (list, dict) and text[:1] in ("[", "{"):
        return _from_json(text)
    if kind is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _from_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
