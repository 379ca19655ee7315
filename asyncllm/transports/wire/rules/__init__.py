"""The rules of the wire: the requests that it serves, and what it sends for them.

The wire serves a request when litellm would pass it through unchanged, or when what litellm changes is simple enough
for a table: `endpoints` by provider, `openai_models` by model, `parameter_rules`, `message_rules` and `tool_rules` for
what a request holds. Everything else takes the litellm transport. Nothing here sends anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import quote, urlsplit

from asyncllm.errors import UnsupportedError
from asyncllm.models import resolve_provider
from asyncllm.parameters import FixedParams, FoundOnce
from asyncllm.transports.base import Connection
from asyncllm.transports.bodies import encode
from asyncllm.transports.headers import with_headers

from .endpoints import AZURE_API_VERSION, AZURE_MESSAGES, ENDPOINTS, EndpointRules
from .openai_models import azure_rules
from .parameter_rules import ParameterRules, report_dropped

__all__ = ["ENDPOINTS", "Route", "route"]


class Route:
    """The way of one model's requests at one endpoint; made once, and used for every request.

    Attributes:
        url: The address that requests are posted to.
        headers: The headers of every request, the key among them.
        asks_usage: Whether a stream has to be asked for its usage; the others send it, and may refuse the question.
    """

    __slots__ = ("_drop", "_head", "_messages", "_model", "_parameters", "_reported", "asks_usage", "headers", "url")

    def __init__(
        self, url: str, headers: Mapping[str, str], model: str, rules: EndpointRules, *, drop_params: bool
    ) -> None:
        self.url = url
        self.headers = headers
        self._model = model
        self._parameters, self._messages = FoundOnce(rules.parameters.apply), rules.messages
        self._head = FoundOnce(partial(_encoded, model, rules.parameters))
        self.asks_usage = "stream_options" in rules.parameters.supported
        self._drop = drop_params
        self._reported: set[tuple[str, ...]] = set()

    def body(self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object]) -> dict[str, object] | None:
        """Return the body of a request; None when litellm would do more to it than the wire does.

        Raises:
            UnsupportedError: The model does not take a parameter, and `drop_params` is off.
        """
        sent = self._messages.apply(messages)
        mapped = self._parameters(params) if sent is not None else None
        if mapped is None:
            return None
        if mapped.dropped:
            self._report(mapped.dropped)
        return {"model": self._model, "messages": sent, **mapped.params}

    def head(self, params: Mapping[str, object]) -> bytes:
        """Return the body of a request but for its messages, encoded; empty unless the parameters are fixed."""
        return self._head(params) if type(params) is FixedParams else b""

    def _report(self, dropped: tuple[str, ...]) -> None:
        names = ", ".join(dropped)
        if not self._drop:
            raise UnsupportedError(
                f"{self._model} does not take {names}, and drop_params is off.",
                hint="Leave the parameter out, or set drop_params = true.",
            )
        report_dropped(self._model, names, again=dropped in self._reported)
        self._reported.add(dropped)


def route(connection: Connection, model: str, *, drop_params: bool = True) -> Route | None:
    """Return the route of a model; None when the wire does not serve it."""
    provider, options = connection.provider, connection.options
    name = resolve_provider(model, provider, options.get("base_url")).name
    if provider == "azure":
        return _azure_route(connection, name, drop_params=drop_params)
    endpoint = ENDPOINTS.get(provider)
    base_url = str(options.get("base_url") or (endpoint.base_url if endpoint else None) or "").rstrip("/")
    if endpoint is None or not base_url or (endpoint.needs_key and connection.api_key is None):
        return None
    if "?" in base_url or "chat/completions" in base_url:
        return None  # litellm takes such an address apart
    rules = endpoint.rules(name, base_url)
    if rules is None or "api_version" in options:
        return None
    headers = endpoint.headers()
    if connection.api_key:
        headers = {**headers, "Authorization": f"Bearer {connection.api_key}"}
    headers = with_headers(headers, options.get("extra_headers"))
    return Route(f"{base_url}/chat/completions", headers, name, rules, drop_params=drop_params)


def _encoded(model: str, rules: ParameterRules, params: Mapping[str, object]) -> bytes:
    mapped = rules.apply(params)
    assert mapped is not None, "the wire is given requests that it serves"
    return encode({"model": model, **mapped.params}).removesuffix(b"}")


def _azure_route(connection: Connection, deployment: str, *, drop_params: bool) -> Route | None:
    options = connection.options
    base_url = str(options.get("base_url") or "").rstrip("/")
    parts = urlsplit(base_url)
    if not connection.api_key or not parts.hostname or parts.path or parts.query:
        return None  # a login, a gateway, or one of Azure's other endpoints
    version = options.get("api_version") or os.environ.get("AZURE_API_VERSION") or AZURE_API_VERSION
    rules = azure_rules(deployment, version)
    if rules is None:
        return None
    headers = with_headers({"api-key": str(connection.api_key)}, options.get("extra_headers"))
    path = f"/openai/deployments/{quote(deployment, safe='')}/chat/completions?api-version={quote(version)}"
    return Route(
        f"{base_url}{path}", headers, deployment, EndpointRules(rules, AZURE_MESSAGES), drop_params=drop_params
    )
