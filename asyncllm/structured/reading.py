"""Reading of answers that hold more than the JSON that was asked for: fences, words around it, thoughts before it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..completions.completion import Completion
from .schema.json_schema import is_array, is_object, object_in
from .schema.readers import BadAnswerError, NotJSONError, Read, parsed

T = TypeVar("T")

# Thoughts come first; some templates leave out the opening mark.
_THOUGHTS = re.compile(r"\s*(?:<(think|thinking|reasoning)>.*?</\1>|[^{\[<]*</think>)", re.DOTALL)
# A bracket followed by what a document has there begins one; any other belongs to the words.
_START = re.compile(r"""\{(?=\s*["}])|\[(?=\s*(?:[\[{"\]]|-?[0-9]|true|false|null))""")
# The same while the text is coming: a list of plain values counts only at the very start, as it may be a footnote.
_LATER_START = re.compile(r"""\{(?=\s*["}])|\[(?=\s*[\[{"])""")
_FIRST_START = re.compile(rf"\A\s*\[|{_LATER_START.pattern}")
# The end of a piece that does not yet show what it is.
_UNDECIDED = re.compile(r"[{\[]\s*\Z")
_MARK_SO_FAR = re.compile(r"\s*<[a-z]{0,9}")
_OPEN_THOUGHTS = re.compile(r"\s*<(think|thinking|reasoning)>")
_FENCED = re.compile(r"```\w*\s(.*?)```", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters")
_decode = json.JSONDecoder().raw_decode


def read(completion: Completion, name: str, read_json: Read[T], context: object = None, *, by_tool: bool) -> T:
    """Read the value of an answer: the arguments of a call, or else the text.

    Args:
        completion: The answer.
        name: The name of the type, and so of the tool that stands for it.
        read_json: Reads a whole document.
        context: For `read_json`.
        by_tool: Whether a tool call was asked for; if not, calls of other tools are not looked at.

    Raises:
        BadAnswerError: It is no value of the type, or more than one.
    """
    texts = [_arguments(call, name) for call in _calls(completion) if by_tool or _function(call).get("name") == name]
    if not texts:
        return read_text(completion.text, read_json, context)
    if len(texts) > 1 and not _are_same(texts):
        raise BadAnswerError(f"The answer calls {name!r} {len(texts)} times, with different arguments; call it once.")
    return read_text(texts[0], read_json, context)


def read_text(text: str, read_json: Read[T], context: object = None) -> T:
    """Read a value from a text: the JSON document that it is, or else the only one in it.

    Raises:
        BadAnswerError: There is none, there are different ones, or it is no value of the type.
    """
    text = text.strip()
    if not text:
        raise BadAnswerError("The answer is empty.")
    try:
        return read_json(text, context)
    except NotJSONError as error:
        found = documents(text) or _plain_values(text)
        if not found:
            raise error from None
    if not _are_same(found):
        raise BadAnswerError(f"The answer has {len(found)} JSON documents, which differ; give one.")
    return read_json(found[0], context)


def documents(text: str) -> list[str]:
    """Return the JSON documents in a text, in order, without those of the thoughts and without footnotes like `[1]`.

    Raises:
        BadAnswerError: One is broken, or the thoughts never end. What they hold might be valid by itself, but is not
            what was meant.
    """
    thoughts = _THOUGHTS.match(text)
    if thoughts is None and (opened := _OPEN_THOUGHTS.match(text)):
        raise BadAnswerError(
            f"The answer never closes its <{opened[1]}>; end the thoughts, and give the JSON after them."
        )
    start = _START.search(text, thoughts.end() if thoughts is not None else 0)
    found: list[str] = []
    notes: list[str] = []
    while start is not None:
        at = start.start()
        try:
            value, end = _decode(text, at)
        except (ValueError, RecursionError) as error:
            if text[at] == "[" and not text[at + 1 :].lstrip().startswith(("{", "[", '"')):
                start = _START.search(text, at + 1)
                continue
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
            raise BadAnswerError(f"The answer is not valid JSON: {reason}.") from None
        is_note = is_array(value) and not any(isinstance(item, dict | list | str) for item in value)
        (notes if is_note else found).append(text[at:end])
        start = _START.search(text, end)
    return found or notes


def written_call(text: str, name: str) -> tuple[str, str] | None:
    """Return the arguments of a call that the model wrote as JSON instead of making it, after the key that holds them.

    Returns:
        None where the document is not a call of this name.
    """
    key = next((key for key in _ARGUMENTS if f'"{key}"' in text), None)
    if key is None:
        return None
    value = parsed(text)
    value = value[0] if is_array(value) and len(value) == 1 else value
    if not is_object(value):
        return None
    call = object_in(value, "function") or value
    if call.get("name") != name or key not in call:
        return None
    arguments = call[key]
    return key, arguments if isinstance(arguments, str) else json.dumps(arguments)


class DocumentFinder:
    """Finds where the document begins in a text that comes in pieces."""

    def __init__(self) -> None:
        self._is_found = False
        self._is_first = True
        self._end_of_thoughts: str | None = None
        self._undecided: str = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far belongs to the document and was not returned before."""
        if self._is_found:
            return piece
        text = self._undecided + piece
        if self._is_first:
            if _MARK_SO_FAR.fullmatch(text):
                self._undecided = text
                return ""
            opened = _OPEN_THOUGHTS.match(text)
            self._end_of_thoughts = None if opened is None else f"</{opened[1]}>"
        if self._end_of_thoughts is not None:
            _, mark, rest = text.partition(self._end_of_thoughts)
            if not mark:
                self._is_first, self._undecided = False, text[-len(self._end_of_thoughts) :]
                return ""
            self._end_of_thoughts, self._is_first, text = None, True, rest
        start = (_FIRST_START if self._is_first else _LATER_START).search(text)
        if start is not None:
            self._is_found = True
            return text[start.start() :]
        undecided = _UNDECIDED.search(text)
        self._is_first = self._is_first and not text.strip()
        self._undecided = "" if undecided is None else undecided.group()
        return ""


def _plain_values(text: str) -> list[str]:
    """Return the numbers, strings and other plain values that are fenced, or all that follows the thoughts."""
    thoughts = _THOUGHTS.match(text)
    rest = text[thoughts.end() :] if thoughts is not None else text
    return [value.strip() for value in _FENCED.findall(rest) or [rest] if _is_json(value)]


def _is_json(text: str) -> bool:
    try:
        parsed(text)
    except NotJSONError:
        return False
    return True


def _calls(completion: Completion) -> Sequence[object]:
    # As they came: making objects of them takes as long as reading the value.
    choices = completion.get("choices")
    message = choices[0].get("message") if choices else None
    return (message.get("tool_calls") or ()) if message else ()


def _function(call: object) -> Mapping[str, object]:
    return object_in(call, "function") if is_object(call) else {}


def _arguments(call: object, tool: str) -> str:
    function = _function(call)
    name = function.get("name") or ""
    if name != tool:
        raise BadAnswerError(f"The answer calls {name!r}; call {tool!r}, and nothing else.")
    arguments = function.get("arguments") or "{}"
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _are_same(texts: Sequence[str]) -> bool:
    if len(texts) == 1:
        return True
    try:
        first, *rest = (json.dumps(json.loads(text), sort_keys=True) for text in texts)
    except ValueError:
        return len(set(texts)) == 1
    return all(other == first for other in rest)
