"""Strings that match a regular expression, where one can be made from the expression's parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

# The parser of `re`, which has no public name and no types.
codes: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

# Tried first where a class allows several characters, because they read best.
_PREFERRED = "a1A0 -_.@"
_PRINTABLE = [chr(code) for code in range(32, 127)]


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
        try:
            text = _Generator(repetitions).text_of(parsed)
        except NotImplementedError:
            return None
        if not is_anchored:
            text = text.ljust(min_length, "a")
        if min_length <= len(text) <= max_length and compiled.search(text):
            return text
    return None


class _Generator:
    """Walks a parsed expression.

    Args:
        repetitions: Added to the least number of the first part that may repeat more often.
    """

    def __init__(self, repetitions: int) -> None:
        self._repetitions = repetitions
        self._groups: dict[int, str] = {}

    def text_of(self, parsed: Any) -> str:
        """Return the text of a sequence of parts; whether it matches is left to a trial.

        Raises:
            NotImplementedError: A part has no simple text.
        """
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
        if op is codes.LITERAL:
            return chr(value)
        if op in (codes.NOT_LITERAL, codes.ANY):
            return "b" if value == ord("a") else "a"
        if op is codes.IN:
            return _from_class(value)
        if op in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
            return ""
        raise NotImplementedError


def _from_class(members: Any) -> str:
    negated = members[0][0] is codes.NEGATE
    allowed = [char for char in _PRINTABLE if _is_in_class(char, members) is not negated]
    if allowed:
        return next((char for char in _PREFERRED if char in allowed), allowed[0])
    # The class lies outside ASCII altogether.
    op, value = members[0]
    if op in (codes.RANGE, codes.LITERAL):
        return chr(value[0] if op is codes.RANGE else value)
    raise NotImplementedError


def _is_in_class(char: str, members: Any) -> bool:
    return any(
        (op is codes.LITERAL and ord(char) == value)
        or (op is codes.RANGE and value[0] <= ord(char) <= value[1])
        or (op is codes.CATEGORY and _CATEGORIES[value](char))
        for op, value in members
    )


_CATEGORIES: Mapping[object, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdigit,
    codes.CATEGORY_NOT_DIGIT: lambda char: not char.isdigit(),
    codes.CATEGORY_SPACE: str.isspace,
    codes.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    codes.CATEGORY_WORD: lambda char: char.isalnum() or char == "_",
    codes.CATEGORY_NOT_WORD: lambda char: not (char.isalnum() or char == "_"),
}
