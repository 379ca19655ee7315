"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

# difflib's own default cutoff. At 0.6 `temprature` finds `temperature` and `gpt5-mini` finds `gpt-5-mini`, while
# words that merely share letters (`seed`, `speed_up`) find nothing.
_CUTOFF = 0.6


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = _CUTOFF) -> str | None:
    """Return the candidate most like `name`, or None when none is alike.

    Case is ignored in the comparison; a candidate that differs in case alone always wins.

    Args:
        name: What was written.
        candidates: What would have been valid.
        cutoff: How alike it must be, from 0 (anything) to 1 (the same).

    Returns:
        The candidate as it is spelled among the candidates, never `name` itself.
    """
    # difflib is needed only when something is wrong already.
    from difflib import get_close_matches

    spelled = {candidate.casefold(): candidate for candidate in candidates if candidate != name}
    matches = get_close_matches(name.casefold(), spelled, n=1, cutoff=cutoff)
    return spelled[matches[0]] if matches else None
