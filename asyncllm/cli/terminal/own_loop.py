"""The event loop of commands: uvloop's where it is installed.

Blocking clients keep asyncio's: a process that has used uvloop and forks has a child that crashes at its exit, where
libuv waits for threads that stayed with the parent (seen with uvloop 0.23).
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def run(main: Callable[[Unpack[Arguments]], Awaitable[T]], *arguments: *Arguments) -> T:
    """Run a coroutine function to its end."""
    use_uvloop = sys.platform != "win32" and find_spec("uvloop") is not None
    return anyio.run(main, *arguments, backend_options={"use_uvloop": use_uvloop})
