"""A string that matches a regular expression, where one can be made from the expression's parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

# Tried first where a class allows several characters, because they read best.
_PREFERRED = "a1A0 -_.@"
_PRINTABLE = [chr(code) for code in range(32, 127)]


def matching_string(pattern: str, min_length: int, max_length: int | None) -> str | None:
    """Make a string that the pattern finds itself in, with a length within the bounds.

    Returns:
        The string, or None when the simple way of making one does not lead to a match.
    """
    try:
        compiled = re.compile(pattern)
        parsed = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    for extra in (0, 1, 2, 4, 8, 16, max(0, min_length - 1), min_length):
        text = _generate(parsed, extra)
        if text is None:
            return None
        if len(text) < min_length and not _is_anchored(parsed):
            text += "a" * (min_length - len(text))
        if len(text) >= min_length and (max_length is None or len(text) <= max_length) and compiled.search(text):
            return text
    return None


def _is_anchored(parsed: Any) -> bool:
    return any(op is codes.AT and value in (codes.AT_END, codes.AT_END_STRING) for op, value in parsed)


def _generate(parsed: Any, extra: int) -> str | None:
    """Walk the parsed expression; `extra` repetitions are added to the first part that may repeat more often."""
    left = extra
    groups: dict[int, str] = {}

    def walk(items: Any) -> str | None:
        nonlocal left
        out = []
        for op, value in items:
            if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
                low, high, inner = value
                more = left if high == codes.MAXREPEAT else min(left, high - low)
                left -= more
                parts = [walk(inner) for _ in range(low + more)]
                piece = None if None in parts else "".join(part for part in parts if part is not None)
            elif op is codes.SUBPATTERN:
                piece = walk(value[3])
                if piece is not None and value[0] is not None:
                    groups[value[0]] = piece
            elif op is codes.BRANCH:
                piece = next((made for branch in value[1] if (made := walk(branch)) is not None), None)
            elif op is codes.GROUPREF:
                piece = groups.get(value, "")
            else:
                make = _SINGLE.get(op)
                piece = make(value) if make else None
            if piece is None:
                return None
            out.append(piece)
        return "".join(out)

    return walk(parsed)


def _from_class(members: Any) -> str | None:
    negated = bool(members) and members[0][0] is codes.NEGATE
    allowed = [ch for ch in _PRINTABLE if _in_class(ch, members) is not negated]
    if not allowed and not negated:
        # The class lies outside ASCII altogether.
        op, value = members[0]
        return chr(value[0]) if op is codes.RANGE else chr(value) if op is codes.LITERAL else None
    return next((ch for ch in _PREFERRED if ch in allowed), allowed[0] if allowed else None)


def _in_class(ch: str, members: Any) -> bool:
    code = ord(ch)
    for op, value in members:
        if op is codes.LITERAL and code == value:
            return True
        if op is codes.RANGE and value[0] <= code <= value[1]:
            return True
        if op is codes.CATEGORY and _CATEGORIES[value](ch):
            return True
    return False


_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdigit,
    codes.CATEGORY_NOT_DIGIT: lambda ch: not ch.isdigit(),
    codes.CATEGORY_SPACE: str.isspace,
    codes.CATEGORY_NOT_SPACE: lambda ch: not ch.isspace(),
    codes.CATEGORY_WORD: lambda ch: ch.isalnum() or ch == "_",
    codes.CATEGORY_NOT_WORD: lambda ch: not (ch.isalnum() or ch == "_"),
}
_SINGLE: dict[Any, Callable[[Any], str | None]] = {
    codes.LITERAL: chr,
    codes.NOT_LITERAL: lambda value: "a" if value != ord("a") else "b",
    codes.ANY: lambda value: "a",
    codes.IN: _from_class,
    # Assertions add nothing; whether they hold shows when the whole expression is tried.
    codes.AT: lambda value: "",
    codes.ASSERT: lambda value: "",
    codes.ASSERT_NOT: lambda value: "",
}
