"""litellm's Router with one deployment."""

from __future__ import annotations

from typing import Any

from litellm import Router  # type: ignore[attr-defined]  # public, and not in its __all__

from benchmarks.exchange import API_KEY, HELLO, MODEL
from benchmarks.worker import Answer, serve


class LitellmRouter:
    """Calls `acompletion` of one shared Router."""

    def __init__(self, url: str) -> None:
        params = {"model": f"openai/{MODEL}", "api_base": url, "api_key": API_KEY}
        self._router = Router(model_list=[{"model_name": MODEL, "litellm_params": params}])

    async def plain(self) -> Answer:
        r: Any = await self._router.acompletion(model=MODEL, messages=[{"role": "user", "content": HELLO}])
        return Answer(r.choices[0].message.content, r.usage.total_tokens)

    async def aclose(self) -> None:
        self._router.discard()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    serve(LitellmRouter)  # type: ignore[arg-type]  # it is not asked for the rest
