"""litellm's own way to a provider, in this process and without a network: what it would send, and what it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from asyncllm.transports.litellm.importing import import_litellm

KEY = "sk-test-key-of-no-provider"


@dataclass(frozen=True)
class Exchanged:
    """What litellm sent, and what it made of the answer."""

    url: str
    headers: Mapping[str, str]
    body: Any
    result: Any


def by_litellm(
    provider: str,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    *,
    answer: Mapping[str, Any] | bytes,
    stream: bool = False,
    path: str = "",
) -> Exchanged:
    """Have litellm make a call.

    Args:
        provider: litellm's name of the provider.
        model: The model, without a prefix.
        messages: Chat-completions messages.
        params: Chat-completions parameters.
        answer: What the provider answers: a body, or the bytes of a stream.
        stream: Whether to ask for a stream.
        path: The path of the base URL.
    """
    litellm: Any = import_litellm()
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, bytes):
            return httpx.Response(200, content=answer, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=answer)

    handler = HTTPHandler()
    handler.client.close()
    handler.client = httpx.Client(transport=httpx.MockTransport(respond))
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    try:
        result = litellm.completion(
            model=f"{provider}/{model}",
            messages=json.loads(json.dumps(messages)),
            **json.loads(json.dumps(params)),
            **asked,
            api_key=KEY,
            api_base=f"https://provider.test{path}",
            client=handler,
            max_retries=0,
            drop_params=True,
            _skip_mcp_handler=True,
        )
        result = list(result) if stream else result
    finally:
        handler.close()
    (request,) = seen
    return Exchanged(str(request.url), request.headers, json.loads(request.content), result)
