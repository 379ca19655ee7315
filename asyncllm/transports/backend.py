"""anyio's part for asyncio, which is large, imported beside the running loop."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module

_BACKEND = "anyio._backends._asyncio"


async def import_backend() -> None:
    """Import what anyio runs on, on a thread: where nobody used it yet, the loop would stand still for 20 ms.

    Waits without anyio, and so on asyncio only; with trio the import is left to the first use.
    """
    if _BACKEND in sys.modules or "asyncio" not in sys.modules:
        return
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # it is trio that runs
        return
    imported = asyncio.Event()

    def run() -> None:
        with suppress(ImportError):  # another release of anyio keeps it elsewhere, and imports it by itself
            import_module(_BACKEND)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(imported.set)

    threading.Thread(target=run, name="asyncllm-worker", daemon=True).start()
    await imported.wait()
