"""anyio's part for asyncio, which is large, imported beside the running loop."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_BACKEND = "anyio._backends._asyncio"
_under_way: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}


async def import_backend() -> None:
    """Import what anyio runs on, on a thread: where nobody used it yet, the loop would stand still for 20 ms.

    Waits without anyio, and so on asyncio only; with trio the import is left to the first use.
    """
    # The last that it defines: what has only begun to be imported is not there yet.
    if hasattr(sys.modules.get(_BACKEND), "backend_class") or "asyncio" not in sys.modules:
        return
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # it is trio that runs
        return
    if loop in _under_way:  # another call began together with this one
        await _under_way[loop].wait()
        return
    imported = _under_way[loop] = asyncio.Event()

    def run() -> None:
        with suppress(ImportError):  # another release of anyio keeps it elsewhere, and imports it by itself
            import_module(_BACKEND)
        del _under_way[loop]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(imported.set)

    threading.Thread(target=run, name="asyncllm-worker", daemon=True).start()
    await imported.wait()
