"""The configuration file: its location and its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import ConfigError, nearest
from ..narrowing import is_mapping
from .fields import TABLE_FIELDS, Fields
from .mistakes import EXAMPLE_MODEL, Mistake
from .provenance import shown_path

FILE_NAME = "config.toml"
FILE_VARIABLE = "ASYNCLLM_CONFIG"
DEFAULT_PROFILE = "default"

_PROJECT_ROOT_MARKS = (".git", "pyproject.toml")
# Remedies for common mistakes in TOML, by the start of the parser's message.
_TOML_HINTS = {
    "Invalid value": f'A string needs quotes, as in model = "{EXAMPLE_MODEL}"; true and false are lower case.',
    "Illegal character": "A quoted string must end on the line it starts on.",
    "Cannot overwrite": "A key can appear only once in a table.",
    "Cannot declare": "A table can appear only once in a file.",
}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # Source: toml.io/en/v1.0.0#keys


@dataclass(frozen=True, slots=True)
class Tables:
    """The `[llm]` tables of a file.

    Attributes:
        base: The fields of `[llm]`.
        profiles: The fields of each `[llm.NAME]`, in the order of the file.
        mistakes: Tables that cannot be profiles.
        absence: Why there is no `[llm]`, for an error message; empty when there is one.
        unread: The names of tables `[profiles.NAME]`, as other tools have them, each with the remedy.
    """

    base: Mapping[str, object]
    profiles: Mapping[str, Mapping[str, object]]
    mistakes: tuple[Mistake, ...] = ()
    absence: str = ""
    unread: Mapping[str, str] = field(default_factory=dict[str, str])


def find_config_file(path: str | Path | None, variables: Mapping[str, str]) -> Path | None:
    """Return the configuration file: the argument, `ASYNCLLM_CONFIG`, else a `config.toml`.

    `config.toml` is searched for in the working directory and its parents, up to the project root: the first directory
    with `.git` or `pyproject.toml`. Outside a project only the working directory is searched.

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
        by = "" if path else f" (from {FILE_VARIABLE})"
        problem = "is a directory" if file.is_dir() else "does not exist"
        raise ConfigError(f"The configuration file {file}{by} {problem}.", hint="Name an existing TOML file.")
    return next(filter(Path.is_file, (directory / FILE_NAME for directory in _search_path(Path.cwd()))), None)


def read_tables(path: Path) -> Tables:
    """Read the `[llm]` tables of a file; other tables are ignored.

    Raises:
        ConfigError: The file cannot be read or is not TOML; the message names line and column.
    """
    import tomli  # a client made from arguments reads no file

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
        return _of_document(document, path)
    # Outside the except block: the original error holds the text of the file, keys included.
    raise ConfigError(problem, hint=hint)


def table_name(profile: str) -> str:
    """Return the header of a profile's table, as written in the file."""
    return "[llm]" if profile == DEFAULT_PROFILE else _header(profile)


def _search_path(directory: Path) -> list[Path]:
    path: list[Path] = []
    for candidate in (directory, *directory.parents):
        path.append(candidate)
        if any((candidate / mark).exists() for mark in _PROJECT_ROOT_MARKS):
            return path
    # Without a root nothing bounds the search, and a file far above would be another project's.
    return [directory]


def _of_document(document: Mapping[str, object], path: Path) -> Tables:
    others = document.get("profiles")
    names = [name for name, value in others.items() if is_mapping(value)] if is_mapping(others) else []
    headers = {name: _header(name) for name in names}
    unread = {
        name: f"{header.replace('llm', 'profiles', 1)} is not read; did you mean {header}?"
        for name, header in headers.items()
    }
    if "llm" in document:
        return replace(_tables(document["llm"], path), unread=unread)
    return Tables({}, {}, absence=next(iter(unread.values()), None) or _absence(document), unread=unread)


def _tables(llm: object, path: Path) -> Tables:
    if not is_mapping(llm):
        mistake = Mistake(f"{shown_path(path)}: llm", "must be a table: write [llm] on a line of its own", "llm")
        return Tables({}, {}, (mistake,))
    base: dict[str, object] = {}
    profiles: dict[str, Mapping[str, object]] = {}
    mistakes: list[Mistake] = []
    for name, value in llm.items():
        if not is_mapping(value) or name in Fields.model_fields:
            base[name] = value
        elif problem := _not_a_profile(name, value):
            mistakes.append(Mistake(f"{shown_path(path)}: {_header(name)}", problem))
        else:
            profiles[name] = value
    return Tables(base, profiles, tuple(mistakes))


def _header(name: str) -> str:
    return f"[llm.{name}]" if _BARE_KEY.fullmatch(name) else f'[llm."{name}"]'


def _absence(document: Mapping[str, object]) -> str:
    meant = nearest("llm", [name for name, value in document.items() if is_mapping(value)])
    return f"has no [llm] table; should [{meant}] be [llm]?" if meant else "has no [llm] table"


def _not_a_profile(name: str, table: Mapping[str, object]) -> str | None:
    if name == DEFAULT_PROFILE:
        return "cannot be a table of its own: [llm] is the default profile"
    if not name.strip():
        return "has an empty name"
    if not table.keys() & Fields.model_fields.keys() and (field := nearest(name, TABLE_FIELDS)):
        return f"is neither a field nor a profile with known keys; did you mean [llm.{field}]?"
    return None
