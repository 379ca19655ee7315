"""The facts about a model as litellm finds them: its entry in the map, and the rules for its family."""

from __future__ import annotations

import re
from collections.abc import Mapping

from asyncllm.models import catalog

_SNAPSHOT_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_NOTHING: Mapping[str, object] = {}
# The modes of entries that litellm's rules for families complete.
_COMPLETED_MODES = ("chat", "responses")


def facts_of(name: str, provider: str) -> Mapping[str, object]:
    """Return the map's entry for a model, completed by the rules for its family; without one, those rules.

    Args:
        name: The model's name, without a prefix.
        provider: litellm's name of the provider.
    """
    plain = _SNAPSHOT_DATE.sub("", name)
    candidates = tuple(dict.fromkeys((f"{provider}/{name}", name, f"{provider}/{plain}", plain)))
    keys = [key for name in candidates if (key := catalog.spelling(name)) is not None]
    for key in keys:
        entry = catalog.entry(key) or {}
        if entry.get("litellm_provider") in (None, provider):
            completed = entry.get("mode", "chat") in _COMPLETED_MODES
            return {**_ruled(key, completing=provider), **entry} if completed else entry
    if keys:
        return {}
    return next((found for found in map(_ruled, candidates) if found), _NOTHING)


def is_listed(name: str, found: Mapping[str, object], key: str) -> bool:
    """Return whether a flag is set for exactly this name, not for a variant.

    Args:
        name: The model's name, without a prefix.
        found: The facts about it.
        key: The flag.
    """
    value = found.get(key)
    return value if isinstance(value, bool) else bool(found) and (catalog.entry(name) or {}).get(key) is True


def _ruled(name: str, *, completing: str | None = None) -> Mapping[str, object]:
    """Return the union of litellm's rules that match a name.

    Args:
        name: A name, with or without a prefix.
        completing: The provider of a listed model, whose entry only some rules complete.
    """
    found: dict[str, object] = {}
    for rule in catalog.family_rules():
        if "litellm_provider" in rule.details or not rule.pattern.search(name):
            continue
        if completing is None or completing in rule.completes:
            found |= rule.details
    return found
