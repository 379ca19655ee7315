"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable

# difflib's own default. With 0.6 `temprature` matches `temperature` and `gpt5-mini` matches `gpt-5-mini`, while names
# that merely share letters (`seed`, `speed_up`) do not match.
_CUTOFF = 0.6


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = _CUTOFF) -> str | None:
    """Return the candidate most similar to `name`; None when none is similar enough.

    The comparison ignores case; a candidate that differs only in case always wins.

    Args:
        name: The name as written.
        candidates: The valid names.
        cutoff: The least similarity, from 0 (any) to 1 (equal but for case).

    Returns:
        The candidate in its own spelling, never `name` itself.
    """
    # Imported only for an error message.
    from difflib import get_close_matches

    spelled = {candidate.casefold(): candidate for candidate in candidates if candidate != name}
    matches = get_close_matches(name.casefold(), spelled, n=1, cutoff=cutoff)
    return spelled[matches[0]] if matches else None
