"""Halves of surrogate pairs: joined over the pieces of a text, and replaced by U+FFFD where the other half is missing.

A server that cuts a text between the two UTF-16 units of a character sends each as an escape of its own. No terminal,
file or JSON encoder takes them.
"""

from __future__ import annotations

from typing import Any, TypeVar

_Key = TypeVar("_Key")
MISSING = "\ufffd"
_TEXTS = frozenset(("content", "reasoning_content", "reasoning", "refusal"))


def mended(text: str) -> str:
    """Return a text with its surrogate pairs joined, and every half alone replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def joined(held: dict[_Key, str], key: _Key, text: str) -> str:
    """Return the next piece of a text without the half of a pair at its end, which is held back.

    Args:
        held: The halves that are held back, by text.
        key: The text that the piece belongs to.
        text: The piece.
    """
    text = held.pop(key, "") + text
    if "\ud800" <= text[-1:] <= "\udbff":
        held[key], text = text[-1], text[:-1]
    return mended(text)


def mend_answer(answer: dict[str, Any]) -> None:
    """Mend the texts, the reasoning and the tool arguments of a whole answer, in place."""
    for choice in answer.get("choices") or ():
        message: dict[str, Any] = choice.get("message") or {}
        for name, text in message.items():
            if text.__class__ is str and name in _TEXTS and not text.isascii():
                message[name] = mended(text)  # of the same keys, so that the loop goes on
        for call in message.get("tool_calls") or ():
            function: dict[str, Any] = call.get("function") or {}
            arguments = function.get("arguments")
            if isinstance(arguments, str) and not arguments.isascii():
                function["arguments"] = mended(arguments)
