"""Validation of `fallbacks`: unknown profiles, and a profile that names itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import nearest
from ..narrowing import is_list
from .mistakes import Mistake
from .precedence import BASE, Entry, Source
from .sources import Sources

_FIELD = "fallbacks"


def fallback_mistakes(sources: Sources) -> Iterator[Mistake]:
    """Return what is wrong with the fallbacks that profiles set themselves.

    An inherited list that includes the profile itself is not a mistake: see `inherited`.
    """
    for name in sources.own:
        if (entry := _own_fallbacks(sources, name)) is not None:
            yield from wrong_fallbacks(name, entry, sources)


def wrong_fallbacks(profile: str, entry: Entry, sources: Sources) -> Iterator[Mistake]:
    """Return the fallbacks of one list that do not exist or are the profile itself, as mistakes."""
    for fallback in _names(entry):
        if fallback == profile:
            yield Mistake(entry.origin.locate(_FIELD), f"names the profile itself ({profile})")
        elif fallback not in sources.own:
            meant = nearest(fallback, sources.own)
            as_model = f'; write a table for that model, such as [llm.backup] with model = "{fallback}", and name it'
            suggestion = f"; did you mean {meant}?" if meant else as_model if "/" in fallback else ""
            yield Mistake(entry.origin.locate(_FIELD), f'names "{fallback}", which is not a profile{suggestion}')


def inherited(source: Source, profile: str) -> Source:
    """Return a source as a profile inherits it: without the profile itself among the fallbacks."""
    entry = source.get(_FIELD)
    if entry is None or profile not in _names(entry):
        return source
    others = tuple(fallback for fallback in _names(entry) if fallback != profile)
    return {**source, _FIELD: Entry(others, entry.origin, entry.level)}


def _own_fallbacks(sources: Sources, profile: str) -> Entry | None:
    """Return the list that a profile sets itself; for the default profile that of `[llm]`."""
    found: Entry | None = None
    for source in sources.of(profile):
        entry = source.get(_FIELD)
        if entry is not None and (entry.level > BASE or profile == "default"):
            found = entry
    return found


def _names(entry: Entry) -> tuple[str, ...]:
    return tuple(map(str, entry.value)) if is_list(entry.value) else ()
