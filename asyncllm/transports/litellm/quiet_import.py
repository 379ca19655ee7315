"""Import a heavy library on one thread without holding up the others.

Python switches threads between bytecodes only. Two things in the import of litellm are single bytecodes that take up
to 0.2 s, during which every event loop of the process would stand still: reading and writing JSON of several
megabytes, and the full collections of the garbage collector, each of which walks everything imported so far. Here the
JSON is read and written in slices, and the collector rests.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

# JSON that is shorter takes less than a millisecond, and is left to the standard functions.
_LARGE_CHARACTERS = 100_000
# Containers are taken apart down to this depth; below it, those of litellm's files are small.
_DEPTH = 3
_SKIP_SPACE = json.decoder.WHITESPACE.match  # type: ignore[attr-defined]  # as the standard decoder itself uses it


def import_quietly(name: str) -> ModuleType:
    """Import a module while other threads go on running with gaps of a few milliseconds."""
    with _resting_collector(), _sliced_json():
        return import_module(name)


@contextmanager
def _resting_collector() -> Iterator[None]:
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # What was imported stays for good; left to the collector, the next full collection would walk all of it.
        gc.freeze()
        gc.enable()


@contextmanager
def _sliced_json() -> Iterator[None]:
    """Let this thread's large JSON be read and written in slices; other threads do not notice."""
    thread = threading.get_ident()
    load, loads, dumps = json.load, json.loads, json.dumps

    def for_this_thread(sliced: Callable[..., Any], standard: Callable[..., Any]) -> Callable[..., Any]:
        def choose(value: Any, *args: Any, **options: Any) -> Any:
            plain = args or options or threading.get_ident() != thread
            return standard(value, *args, **options) if plain else sliced(value)

        return choose

    def sliced_loads(text: Any) -> Any:
        text = text.decode() if isinstance(text, bytes | bytearray) else text
        return loads(text) if len(text) < _LARGE_CHARACTERS else read_in_slices(text)

    json.load = for_this_thread(lambda file: sliced_loads(file.read()), load)
    json.loads = for_this_thread(sliced_loads, loads)
    json.dumps = for_this_thread(lambda value: write_in_slices(value, dumps), dumps)
    try:
        yield
    finally:
        json.load, json.loads, json.dumps = load, loads, dumps


def read_in_slices(text: str) -> Any:
    """Decode JSON as `json.loads` does, a small piece at a time."""
    value, end = _read(text, _SKIP_SPACE(text, 0).end(), _DEPTH, json.JSONDecoder().raw_decode)
    if _SKIP_SPACE(text, end).end() != len(text):
        raise ValueError("JSON with something behind it")
    return value


def write_in_slices(value: Any, dumps: Callable[[Any], str], depth: int = _DEPTH) -> str:
    """Encode JSON as `json.dumps` does, a small piece at a time."""
    if depth and type(value) is dict and value:
        pairs = (f"{_key(key, dumps)}: {write_in_slices(item, dumps, depth - 1)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if depth and type(value) is list and value:
        return "[" + ", ".join(write_in_slices(item, dumps, depth - 1) for item in value) + "]"
    return dumps(value)


def _key(key: Any, dumps: Callable[[Any], str]) -> str:
    # The standard encoder turns keys that are no texts into texts; it knows how.
    return dumps(key) if isinstance(key, str) else dumps({key: 0})[1:-4]


def _read(text: str, at: int, depth: int, decode: Callable[[str, int], tuple[Any, int]]) -> tuple[Any, int]:
    opening = text[at : at + 1]
    if not depth or opening not in ("{", "["):
        return decode(text, at)
    closing = "}" if opening == "{" else "]"
    items: dict[str, Any] | list[Any] = {} if opening == "{" else []
    at = _SKIP_SPACE(text, at + 1).end()
    if text[at : at + 1] == closing:
        return items, at + 1
    while True:
        key = None
        if isinstance(items, dict):
            key, at = decode(text, at)
            at = _expect(text, at, ":")
        value, at = _read(text, at, depth - 1, decode)
        if isinstance(items, dict):
            items[str(key)] = value
        else:
            items.append(value)
        at = _SKIP_SPACE(text, at).end()
        if text[at : at + 1] == closing:
            return items, at + 1
        at = _expect(text, at, ",")


def _expect(text: str, at: int, character: str) -> int:
    """Return the position after a character and the white space around it."""
    at = _SKIP_SPACE(text, at).end()
    if text[at : at + 1] != character:
        raise ValueError(f"JSON without the {character!r} at position {at}")
    after: int = _SKIP_SPACE(text, at + 1).end()
    return after
