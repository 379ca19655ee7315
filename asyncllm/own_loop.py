"""The event loop that the package runs itself, for commands and blocking calls: uvloop's where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def backend_options() -> dict[str, object]:
    """Return the options of anyio's asyncio backend for a loop of the package's own."""
    return {"use_uvloop": sys.platform != "win32" and find_spec("uvloop") is not None}


def run(main: Callable[[Unpack[Arguments]], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run a coroutine function to its end on a loop of the package's own."""
    return anyio.run(main, *arguments, backend_options=backend_options())
