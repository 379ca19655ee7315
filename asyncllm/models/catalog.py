"""litellm's model map, read one entry at a time, without importing litellm.

The map is a JSON file of 3 MB. Parsing it blocks an event loop for 20 to 30 ms, so an entry is cut out of the file's
bytes and parsed alone (1 to 2 ms). This relies on litellm's layout, where each entry closes with a brace at an indent
of four; where the bytes are ambiguous, the whole file is parsed.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from ..errors import ConfigError
from ..narrowing import list_or_empty, mapping_or_empty

ModelEntry = Mapping[str, object]
"""The entry of one model, under litellm's keys."""

# litellm packages the map as a backup; the first name is that of the file which it downloads.
_FILE_NAMES = ("model_prices_and_context_window.json", "model_prices_and_context_window_backup.json")

_OPENING = b"{\n"
_CLOSING = b"\n    }"

# `sample_spec` documents the file's fields and `fallback_generalizations` holds rules: neither is a model.
_FAMILY_RULES = "fallback_generalizations"
NOT_MODELS = frozenset({"sample_spec", _FAMILY_RULES})


@dataclass(frozen=True, slots=True)
class FamilyRule:
    """A rule of litellm's for models that are not in the map.

    Attributes:
        pattern: Matches the names of the family.
        details: The fields that an entry of the family would have.
        completes: The providers whose own entries it completes.
    """

    pattern: re.Pattern[str]
    details: ModelEntry
    completes: tuple[object, ...] = ()


@lru_cache(maxsize=512)  # More models than a process uses; an entry takes about 2 KB.
def entry(key: str) -> ModelEntry | None:
    """Return the entry under exactly this key; None when there is none."""
    if key in NOT_MODELS:
        return None
    return _read(key)


def spelling(name: str) -> str | None:
    """Return the key that equals `name` but for case; None when there is none.

    The first unknown name takes about 6 ms, to read all keys; later ones take microseconds.
    """
    if entry(name) is not None:
        return name
    return _by_lower_case().get(name.lower())


@lru_cache(maxsize=1)
def keys() -> tuple[str, ...]:
    """Return the names of all models in the map (about 6 ms on first use)."""
    data = _content()
    if not _is_indented(data):
        return tuple(key for key in _parsed() if key not in NOT_MODELS)
    # litellm's names contain neither quotes nor escapes; a test over the whole map holds this.
    found = re.findall(rb'(?:^\{|\n    \},)\n *"([^"]+)": \{', data)
    return tuple(key for key in map(bytes.decode, found) if key not in NOT_MODELS)


@lru_cache(maxsize=1)
def family_rules() -> tuple[FamilyRule, ...]:
    """Return litellm's rules for models that are not in the map, in its order; () when it has none."""
    rules = map(mapping_or_empty, list_or_empty(mapping_or_empty(_read(_FAMILY_RULES)).get("rules")))
    return tuple(
        FamilyRule(
            re.compile(pattern, re.IGNORECASE),
            mapping_or_empty(rule.get("model_info")),
            tuple(list_or_empty(rule.get("fill_missing_for_providers"))),
        )
        for rule in rules
        if isinstance(pattern := rule.get("pattern"), str)
    )


def package_file(*parts: str) -> Path | None:
    """Return the path of a data file in litellm's package, without importing it; None when it does not exist."""
    found = importlib.util.find_spec("litellm")
    for location in (found.submodule_search_locations or ()) if found is not None else ():
        path = Path(location, *parts)
        if path.is_file():
            return path
    return None


def _read(key: str) -> ModelEntry | None:
    data = _content()
    if not _is_indented(data):
        return _parsed().get(key)
    head = json.dumps(key).encode() + b": {"
    # Of duplicate keys the last one counts, as for a JSON parser.
    start = data.rfind(head)
    if start < 0:
        return None
    end = data.find(_CLOSING, start)
    # The file is edited by hand, so the key's indent is unreliable; the end of the entry before it is not. A name that
    # occurs deeper in the file, or an entry that does not parse alone, needs the whole file.
    before = data[max(start - 64, 0) : start].rstrip(b" ")
    if not before.endswith((_CLOSING + b",\n", _OPENING)):
        return _parsed().get(key)
    try:
        value: ModelEntry = json.loads(data[start + len(head) - 1 : end + len(_CLOSING)])
    except ValueError:
        return _parsed().get(key)
    return MappingProxyType(value)


@lru_cache(maxsize=1)  # 3 MB; reading the file again would take as long as searching it.
def _content() -> bytes:
    for name in _FILE_NAMES:
        path = package_file(name)
        if path is not None:
            return path.read_bytes()
    raise ConfigError(
        "litellm's model map was not found; it has the limits and prices of models.",
        hint="Install litellm again: pip install --force-reinstall litellm",
    )


def _is_indented(data: bytes) -> bool:
    return data.startswith(_OPENING)


@lru_cache(maxsize=1)
def _parsed() -> Mapping[str, ModelEntry]:
    """Parse the whole map (20 to 30 ms)."""
    parsed: dict[str, ModelEntry] = json.loads(_content())
    return parsed


@lru_cache(maxsize=1)
def _by_lower_case() -> Mapping[str, str]:
    return {key.lower(): key for key in keys()}
