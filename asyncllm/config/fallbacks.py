"""What can be wrong with `fallbacks`: unknown profiles, and a profile that names itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..suggestions import nearest
from .mistakes import Mistake
from .precedence import BASE, Entry, Layer
from .sources import Sources

_FIELD = "fallbacks"


def fallback_mistakes(stack: Sources) -> Iterator[Mistake]:
    """Find what is wrong with the fallbacks that profiles name themselves.

    An inherited list is no mistake of the profile that inherits it: it leaves itself out, see `inherited`.
    """
    for name in stack.own:
        if (entry := _named_by(stack, name)) is not None:
            yield from wrong_fallbacks(name, entry, stack)


def wrong_fallbacks(profile: str, entry: Entry, stack: Sources) -> Iterator[Mistake]:
    """Find targets that are no profiles, or the profile itself."""
    for target in _fallbacks(entry):
        if target == profile:
            yield Mistake(entry.origin.locate(_FIELD), f"names the profile itself ({profile})")
        elif target not in stack.own:
            meant = nearest(target, stack.own)
            suggestion = f"; did you mean {meant}?" if meant else ""
            yield Mistake(entry.origin.locate(_FIELD), f'names "{target}", which is not a profile{suggestion}')


def inherited(layer: Layer, profile: str) -> Layer:
    """Give a layer as a profile inherits it: without the profile itself among the fallbacks."""
    entry = layer.get(_FIELD)
    if entry is None or profile not in _fallbacks(entry):
        return layer
    others = tuple(target for target in _fallbacks(entry) if target != profile)
    return {**layer, _FIELD: Entry(others, entry.origin, entry.level)}


def _named_by(stack: Sources, profile: str) -> Entry | None:
    """Give the list that a profile names itself; `[llm]` speaks for the default profile."""
    found: Entry | None = None
    for layer in stack.layers(profile):
        entry = layer.get(_FIELD)
        if entry is not None and (entry.level > BASE or profile == "default"):
            found = entry
    return found


def _fallbacks(entry: Entry) -> tuple[str, ...]:
    return tuple(entry.value) if isinstance(entry.value, list | tuple) else ()
