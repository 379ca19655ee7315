"""The arguments of litellm's `acompletion` for a call."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..base import NEVER_S, Call
from ..headers import with_headers
from ..wire.rules.openai_models import LOST
from ..wire.rules.parameter_rules import DECIDED, report_dropped
from .importing import import_litellm

if TYPE_CHECKING:
    import httpx

# Where both transports send the parameters that litellm keeps for itself, or forgets.
_TAKE_LOST = frozenset(("azure", "litellm_proxy", "openai"))
# Every provider takes these, so that they need no look-up.
_TAKEN_BY_ALL = frozenset(("extra_body", "extra_headers", "max_tokens", "temperature"))


def arguments(call: Call, *, stream: bool = False) -> dict[str, object]:
    """Return the arguments of a call; litellm must have been imported."""
    from .clients import clients  # which imports litellm

    connection = call.connection
    if call.drop_params:
        _report_dropped(call)
    params = _parameters(call.params, connection.provider)
    timeout = _timeout(connection.connect_timeout_s)
    made: dict[str, Any] = {**params, **connection.options}
    if "base_url" in made:
        made["api_base"] = made.pop("base_url")
    if connection.api_key is not None:
        made["api_key"] = connection.api_key
    headers = with_headers(connection.options.get("extra_headers") or {}, call.params.get("extra_headers"))
    if headers:
        made["extra_headers"] = dict(headers)
    if "tools" in params:
        # litellm changes tools in place for several providers, and those of a type are shared by all of its calls.
        made["tools"] = copy.deepcopy(list(params["tools"])) if params["tools"] else params["tools"]
        # Without it, 1.106 looks for the tools of its proxy, which needs a package that only the proxy installs.
        made["_skip_mcp_handler"] = True
    if stream:
        made["stream"] = True
        made["stream_options"] = {"include_usage": True, **(params.get("stream_options") or {})}
    made.update(
        model=call.model,
        messages=copy.deepcopy(list(call.messages)),
        timeout=timeout,
        max_retries=0,
        drop_params=call.drop_params,
        client=clients().client(call, timeout),
    )
    return made


def _parameters(params: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
    """Return the parameters, with those that litellm would keep for itself where the provider gets them."""
    if "metadata" not in params and "prompt_cache_retention" not in params:
        return params
    if provider not in _TAKE_LOST:
        # litellm writes into the caller's metadata.
        return {**params, "metadata": dict(params["metadata"])} if "metadata" in params else params
    lost = {name: params[name] for name in LOST if name in params}
    kept = {name: value for name, value in params.items() if name not in LOST}
    return {**kept, "extra_body": {**lost, **(params.get("extra_body") or {})}}


def _report_dropped(call: Call) -> None:
    if call.params.keys() <= _TAKEN_BY_ALL:
        return
    before = _dropped.cache_info().misses
    dropped = _dropped(call.model, call.connection.provider, frozenset(call.params))
    if dropped:
        report_dropped(call.model, dropped, again=_dropped.cache_info().misses == before)


@lru_cache(1024)  # models times the sets of parameters that they are called with
def _dropped(model: str, provider: str, names: frozenset[str]) -> str:
    """Name those parameters that litellm drops by name; it does not say what it drops by value."""
    litellm = import_litellm()
    known: list[str] | None = litellm.get_supported_openai_params(
        model=model.removeprefix(f"{provider}/"), custom_llm_provider=provider
    )
    taken = {*(known or DECIDED), *(LOST if provider in _TAKE_LOST else ())}
    # Those that litellm has for its own use are in its list of none.
    return ", ".join(sorted((names & DECIDED) - taken - {"stream_options"}))


@lru_cache(16)
def _timeout(connect_timeout_s: float) -> httpx.Timeout:
    """Make litellm's timeout, of connecting alone; the others are the bridge's."""
    import httpx

    return httpx.Timeout(NEVER_S, connect=connect_timeout_s)
