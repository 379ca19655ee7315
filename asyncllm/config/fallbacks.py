"""What can be wrong with `fallbacks`: unknown profiles, and a profile that names itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..suggestions import nearest
from .mistakes import Mistake
from .precedence import BASE, Entry, Layer
from .sources import Stack

_FIELD = "fallbacks"


def fallback_mistakes(stack: Stack) -> Iterator[Mistake]:
    """Find what is wrong with the fallbacks that profiles name themselves.

    An inherited list is no mistake of the profile that inherits it: it leaves itself out, see `inherited`.
    """
    for name in stack.own:
        if (entry := _named_by(stack, name)) is not None:
            yield from wrong_targets(name, entry, stack)


def wrong_targets(profile: str, entry: Entry, stack: Stack) -> Iterator[Mistake]:
    """Find targets that are no profiles, or the profile itself."""
    for target in _targets(entry):
        if target == profile:
            yield Mistake(entry.origin.locate(_FIELD), f"names the profile itself ({profile})")
        elif target not in stack.own:
            meant = nearest(target, stack.own)
            suggestion = f"; did you mean {meant}?" if meant else ""
            yield Mistake(entry.origin.locate(_FIELD), f'names "{target}", which is not a profile{suggestion}')


def inherited(layer: Layer, profile: str) -> Layer:
    """Give a layer as a profile inherits it: without the profile itself among the fallbacks."""
    entry = layer.get(_FIELD)
    if entry is None or profile not in _targets(entry):
        return layer
    others = tuple(target for target in _targets(entry) if target != profile)
    return {**layer, _FIELD: Entry(others, entry.origin, entry.place)}


def _named_by(stack: Stack, profile: str) -> Entry | None:
    """Give the list that a profile names itself; `[llm]` speaks for the default profile."""
    found: Entry | None = None
    for layer in stack.layers(profile):
        entry = layer.get(_FIELD)
        if entry is not None and (entry.place > BASE or profile == "default"):
            found = entry
    return found


def _targets(entry: Entry) -> tuple[str, ...]:
    return tuple(entry.value) if isinstance(entry.value, list | tuple) else ()
