"""The fingerprint of a request: a hash of all that a provider would see of it, except who asks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from ..parameters import WITHOUT_EFFECT

# Part of every fingerprint: answers of an older form are not found any more.
_VERSION = 1
_DIGEST_BYTES = 20
_DEFAULT_PORTS = {"http": 80, "https": 443}


def fingerprint(
    provider: str,
    model: str,
    base_url: str | None,
    messages: Sequence[Mapping[str, object]],
    params: Mapping[str, object],
) -> bytes | None:
    """Return the fingerprint of a request.

    Equal requests have the same one at any time and in any process. The key, headers, timeouts, and the parameters in
    `parameters.WITHOUT_EFFECT` (who is billed, what is kept) do not count. Neither does the order of the keys of an
    object; that of messages, tools and other lists does.

    Args:
        provider: litellm's name of the provider.
        model: The model as litellm names it.
        base_url: The endpoint; None for the provider's own.
        messages: Chat-completions messages, in order, with images as data.
        params: Chat-completions parameters, of the profile and the call together.

    Returns:
        20 bytes; None when the parameters hold what JSON cannot express, as a class does.
    """
    asked = {name: value for name, value in params.items() if name not in WITHOUT_EFFECT}
    try:
        text = json.dumps([_VERSION, provider, model, endpoint_identity(base_url), messages, asked], sort_keys=True)
    except TypeError:
        return None
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


@lru_cache(maxsize=64)
def endpoint_identity(base_url: str | None) -> str | None:
    """Return an endpoint as its scheme, host, port and path, without a query, which may hold a key."""
    if base_url is None:
        return None
    url = urlsplit(base_url)
    port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
    return f"{url.scheme}://{(url.hostname or '').lower()}:{port}{url.path.rstrip('/')}"
