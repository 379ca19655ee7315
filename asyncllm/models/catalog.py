"""litellm's packaged model map, read as data: one entry at a time, without importing litellm.

The map is a JSON file of 3 MB. Parsing it holds the interpreter for 20 to 30 ms, which a running event loop would
feel, so an entry is cut out of the file's bytes and parsed alone (1 to 2 ms). That relies on the layout that litellm
ships, where each entry closes with a brace at an indent of four; where the bytes leave a doubt, all of it is parsed.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ConfigError

Entry = Mapping[str, Any]
"""What the map says about one model, as litellm wrote it."""

# The newest name first: litellm packages the map under its backup's name, and downloads the other one.
_FILE_NAMES = ("model_prices_and_context_window.json", "model_prices_and_context_window_backup.json")

_OPENING = b"{\n"
_CLOSING = b"\n    }"

# `sample_spec` documents the file's fields and `fallback_generalizations` holds rules: neither is a model.
_GENERALIZATIONS = "fallback_generalizations"
NOT_MODELS = frozenset({"sample_spec", _GENERALIZATIONS})


@lru_cache(maxsize=512)  # More models than a process talks to; an entry takes about 2 KB.
def entry(key: str) -> Entry | None:
    """Return what the map holds under exactly this key; None when it holds nothing."""
    if key in NOT_MODELS:
        return None
    return _read(key)


def spelling(name: str) -> str | None:
    """Return the key that `name` stands for, in the map's own case; None when there is none.

    The first call that meets an unknown name reads all keys (about 6 ms); later ones take microseconds.
    """
    if entry(name) is not None:
        return name
    return _by_lower_case().get(name.lower())


@lru_cache(maxsize=1)
def keys() -> tuple[str, ...]:
    """Return the names of all models in the map (about 6 ms the first time)."""
    data = _content()
    if not _is_indented(data):
        return tuple(key for key in _parsed() if key not in NOT_MODELS)
    # litellm's names hold neither quotes nor escapes; the test over the whole map would notice one.
    found = re.findall(rb'(?:^\{|\n    \},)\n *"([^"]+)": \{', data)
    return tuple(key for key in map(bytes.decode, found) if key not in NOT_MODELS)


@lru_cache(maxsize=1)
def generalizations() -> tuple[Entry, ...]:
    """Return litellm's rules for models that are not in the map yet, in its order; () when it has none."""
    section = _read(_GENERALIZATIONS)
    return tuple(section.get("rules", ())) if section is not None else ()


def package_file(*parts: str) -> Path | None:
    """Return the path of a data file inside litellm's package, which is not imported; None when it is not there."""
    found = importlib.util.find_spec("litellm")
    for location in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(location, *parts)
        if path.is_file():
            return path
    return None


def _read(key: str) -> Entry | None:
    data = _content()
    if not _is_indented(data):
        return _parsed().get(key)
    head = json.dumps(key).encode() + b": {"
    # The last one, as a JSON parser would take it.
    start = data.rfind(head)
    if start < 0:
        return None
    end = data.find(_CLOSING, start)
    # litellm's contributors edit the file by hand: the key's own indent is not to be relied on, the end of the entry
    # before it is. A name that occurs deeper in the file, or an entry that does not close alone, needs the parser.
    before = data[max(start - 64, 0) : start].rstrip(b" ")
    if not before.endswith((_CLOSING + b",\n", _OPENING)):
        return _parsed().get(key)
    try:
        value: Entry = json.loads(data[start + len(head) - 1 : end + len(_CLOSING)])
    except ValueError:
        return _parsed().get(key)
    return MappingProxyType(value)


@lru_cache(maxsize=1)  # 3 MB, kept: reading it again would cost as much as the search.
def _content() -> bytes:
    for name in _FILE_NAMES:
        path = package_file(name)
        if path is not None:
            return path.read_bytes()
    raise ConfigError(
        "litellm's model map was not found, so nothing is known about models and prices.",
        hint="Install litellm again: pip install --force-reinstall litellm",
    )


def _is_indented(data: bytes) -> bool:
    return data.startswith(_OPENING)


@lru_cache(maxsize=1)
def _parsed() -> Mapping[str, Entry]:
    """Parse the whole map (20 to 30 ms), where the layout leaves a doubt."""
    parsed: dict[str, Entry] = json.loads(_content())
    return parsed


@lru_cache(maxsize=1)
def _by_lower_case() -> Mapping[str, str]:
    return {key.lower(): key for key in keys()}
