"""litellm's Router as its documentation shows it, with its own retries and a bound on what is in flight."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from litellm import Router  # type: ignore[attr-defined]  # public, and not in its __all__


async def main(url: str, key: str, items: int, concurrency: int) -> None:
    """Send the items, and print what came of them."""
    params = {"model": "openai/gpt-4o-mini", "api_base": url, "api_key": key, "rpm": 3000}
    router = Router(model_list=[{"model_name": "it", "litellm_params": params}], num_retries=3)
    slots = asyncio.Semaphore(concurrency)

    async def one() -> bool:
        async with slots:
            try:
                await router.acompletion(model="it", messages=[{"role": "user", "content": "item"}])
            except Exception:
                return False
            return True

    started = time.monotonic()
    answered = sum(await asyncio.gather(*(one() for _ in range(items))))
    print(json.dumps({"answered": answered, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
