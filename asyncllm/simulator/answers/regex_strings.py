"""Strings that match a regular expression, where one can be made from the expression's parts."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from itertools import chain
from typing import Any

# The parser and the compiler of `re`, which have neither public names nor types.
codes: Any = import_module("re._constants")
compiler: Any = import_module("re._compiler")
parser: Any = import_module("re._parser")

# Tried first where a class allows several characters, because they read best.
_PREFERRED = "a1A0 -_.@"


def matching_string(pattern: str, min_length: int, max_length: float) -> str | None:
    """Return a string that the pattern is found in and whose length is within the bounds.

    Returns:
        The string, or None when the simple way of making one does not lead to a match.
    """
    try:
        compiled, parsed = re.compile(pattern), parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    is_anchored = any(op is codes.AT and value in (codes.AT_END, codes.AT_END_STRING) for op, value in parsed)
    for repetitions in (0, 1, 2, 4, 8, 16, max(0, min_length - 1), min_length):
        text = _Generator(parsed.state, repetitions).text_of(parsed)
        if not is_anchored:
            text = text.ljust(min_length, "a")
        if min_length <= len(text) <= max_length and compiled.search(text):
            return text
    return None


class _Generator:
    """Makes a text part by part; whether it matches as a whole is left to a trial.

    Args:
        repetitions: Added to the least number of the first part that may repeat more often.
    """

    def __init__(self, state: object, repetitions: int) -> None:
        self._state = state
        self._repetitions = repetitions
        self._groups: dict[int, str] = {}

    def text_of(self, parsed: Any) -> str:
        """Return the text of a sequence of parts."""
        return "".join(self._part(op, value) for op, value in parsed)

    def _part(self, op: object, value: Any) -> str:
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            low, high, inner = value
            more = self._repetitions if high == codes.MAXREPEAT else min(self._repetitions, high - low)
            self._repetitions -= more
            return "".join(self.text_of(inner) for _ in range(low + more))
        if op is codes.SUBPATTERN:
            text = self.text_of(value[3])
            if value[0] is not None:
                self._groups[value[0]] = text
            return text
        if op is codes.BRANCH:
            return self.text_of(value[1][0])
        if op is codes.GROUPREF:
            return self._groups.get(value, "")
        if op in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
            return ""
        if op is codes.LITERAL:
            return chr(value)
        one_character: re.Pattern[str] = compiler.compile(parser.SubPattern(self._state, [(op, value)]))
        characters = chain(_PREFERRED, map(chr, range(32, sys.maxunicode + 1)))
        return next((char for char in characters if one_character.fullmatch(char)), "")
