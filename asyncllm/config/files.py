"""Which file a configuration comes from, and the tables in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from ..suggestions import nearest
from .fields import TABLE_FIELDS, Fields
from .mistakes import EXAMPLE_MODEL, Mistake
from .provenance import shown_path

FILE_NAME = "config.toml"
FILE_VARIABLE = "ASYNCLLM_CONFIG"
DEFAULT_PROFILE = "default"

_PROJECT_ROOT_MARKS = (".git", "pyproject.toml")
# What people do who do not write TOML every day, by how the parser begins its message.
_TOML_HINTS = {
    "Invalid value": f'A text stands in quotes, as in model = "{EXAMPLE_MODEL}"; true and false are written small.',
    "Illegal character": "A text in quotes ends on the line on which it begins.",
    "Cannot overwrite": "A key stands once in a table.",
    "Cannot declare": "A table stands once in a file.",
}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # Source: toml.io/en/v1.0.0#keys


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file that are ours.

    Attributes:
        base: The fields of `[llm]`.
        profiles: The fields of each `[llm.NAME]`, in the order of the file.
        mistakes: Tables that cannot be profiles.
        absence: What to say when there is no `[llm]` at all; empty when there is one.
    """

    base: Mapping[str, object]
    profiles: Mapping[str, Mapping[str, object]]
    mistakes: tuple[Mistake, ...] = ()
    absence: str = ""


def find_config_file(path: str | Path | None, variables: Mapping[str, str]) -> Path | None:
    """Find the file: the argument, `ASYNCLLM_CONFIG`, else `config.toml` in the working directory or its parents.

    Parents are looked at up to the project root, the first directory with `.git` or `pyproject.toml`. Outside of any
    project only the working directory is.

    Returns:
        The file's absolute path; None when there is none.

    Raises:
        ConfigError: The argument or `ASYNCLLM_CONFIG` names a file that does not exist.
    """
    named = path or variables.get(FILE_VARIABLE)
    if named:
        file = Path(named).expanduser().absolute()
        if file.is_file():
            return file
        by = "" if path else f", which {FILE_VARIABLE} names,"
        problem = "is a directory" if file.is_dir() else "does not exist"
        raise ConfigError(f"The configuration file {file}{by} {problem}.", hint="Name an existing TOML file.")
    return next(filter(Path.is_file, (directory / FILE_NAME for directory in _search_path(Path.cwd()))), None)


def read_tables(path: Path) -> Tables:
    """Read the `[llm]` tables of a file; all others belong to somebody else.

    Raises:
        ConfigError: The file cannot be read or is not TOML; the message names line and column.
    """
    import tomli  # a client that is made of arguments reads no file

    hint = None
    try:
        document = tomli.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        problem = f"{shown_path(path)} cannot be read: {error.strerror}."
    except UnicodeDecodeError as error:
        problem = f"{shown_path(path)} cannot be read: it is not UTF-8 text (byte {error.start})."
    except tomli.TOMLDecodeError as error:
        message = str(error)
        problem = f"{shown_path(path)} is not valid TOML: {message[:1].lower()}{message[1:]}."
        hint = next((hint for start, hint in _TOML_HINTS.items() if message.startswith(start)), None)
    else:
        return _tables(document["llm"], path) if "llm" in document else Tables({}, {}, absence=_absence(document))
    # Outside of the except block: the error holds the text of the file, keys and all.
    raise ConfigError(problem, hint=hint)


def table_name(profile: str) -> str:
    """Give the table of a profile as it is written in the file."""
    if profile == DEFAULT_PROFILE:
        return "[llm]"
    return f"[llm.{profile}]" if _BARE_KEY.fullmatch(profile) else f'[llm."{profile}"]'


def _search_path(directory: Path) -> list[Path]:
    path = []
    for candidate in (directory, *directory.parents):
        path.append(candidate)
        if any((candidate / mark).exists() for mark in _PROJECT_ROOT_MARKS):
            return path
    # Without a root there is no bound, and a file far above would be somebody else's.
    return [directory]


def _tables(llm: object, path: Path) -> Tables:
    if not isinstance(llm, dict):
        return Tables(
            {}, {}, (Mistake(f"{shown_path(path)}: llm", "must be a table: write [llm] on a line of its own", "llm"),)
        )
    base: dict[str, object] = {}
    profiles: dict[str, Mapping[str, object]] = {}
    mistakes = []
    for name, value in llm.items():
        if not isinstance(value, dict) or name in Fields.model_fields:
            base[name] = value
        elif problem := _not_a_profile(name, value):
            mistakes.append(Mistake(f"{shown_path(path)}: [llm.{name}]", problem))
        else:
            profiles[name] = value
    return Tables(base, profiles, tuple(mistakes))


def _absence(document: Mapping[str, object]) -> str:
    meant = nearest("llm", [name for name, value in document.items() if isinstance(value, dict)])
    return f"has no table [llm]; did you mean it by [{meant}]?" if meant else "has no table [llm]"


def _not_a_profile(name: str, table: Mapping[str, object]) -> str | None:
    if name == DEFAULT_PROFILE:
        return "cannot be a table of its own: [llm] is the profile default"
    if not name.strip():
        return "has no name"
    if not table.keys() & Fields.model_fields.keys() and (field := nearest(name, TABLE_FIELDS)):
        return f"is neither a field nor a profile with known keys; did you mean [llm.{field}]?"
    return None
