"""The prices and limits of a LiteLLM proxy's models, which litellm's own map lacks."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from collections.abc import Mapping
from urllib.error import URLError

from asyncllm import telemetry
from asyncllm.models import ModelInfo, parse_proxy_model_info
from asyncllm.threads import run_in_own_thread

from ..base import Connection

# Prices and limits change with the proxy's configuration, a few times a day at the most.
_KEPT_S = 600.0
# Asked once, before the first call, which a proxy that does not answer must not delay for long.
_TIMEOUT_S = 5.0

_known: dict[tuple[str, str], tuple[float, Mapping[str, ModelInfo]]] = {}


async def proxy_models(connection: Connection) -> Mapping[str, ModelInfo]:
    """Return the models of a proxy, by the names its users ask for; none when it does not list them.

    Asked once for an endpoint and key, and kept for ten minutes.
    """
    base_url = str(connection.options.get("base_url", "")).rstrip("/")
    if not base_url.startswith(("http://", "https://")):
        return {}
    key = connection.api_key or ""
    name = (base_url, hashlib.blake2b(key.encode(), digest_size=16).hexdigest())
    kept = _known.get(name)
    if kept is None or kept[0] < time.monotonic():
        models = await run_in_own_thread(lambda: _ask(base_url, key))
        kept = _known[name] = (time.monotonic() + _KEPT_S, models)
    return kept[1]


def _ask(base_url: str, key: str) -> Mapping[str, ModelInfo]:
    request = urllib.request.Request(f"{base_url.removesuffix('/v1')}/model/info")
    # Unredirected: the key goes to this host, and to no other that it redirects to.
    request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return parse_proxy_model_info(json.load(answer))
    except (URLError, OSError, ValueError) as error:
        telemetry.emit(telemetry.INFO, "proxy.model_info_missing", base_url=base_url, error=type(error).__name__)
        return {}
