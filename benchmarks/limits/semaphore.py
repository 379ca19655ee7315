"""openai's SDK with its own retries, behind a semaphore."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from openai import AsyncOpenAI, OpenAIError


async def main(url: str, key: str, items: int, concurrency: int) -> None:
    """Send the items, and print what came of them."""
    slots = asyncio.Semaphore(concurrency)
    async with AsyncOpenAI(base_url=url, api_key=key) as client:

        async def one() -> bool:
            async with slots:
                try:
                    await client.chat.completions.create(
                        model="gpt-4o-mini", messages=[{"role": "user", "content": "item"}]
                    )
                except OpenAIError:
                    return False
                return True

        started = time.monotonic()
        answered = sum(await asyncio.gather(*(one() for _ in range(items))))
        print(json.dumps({"answered": answered, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
