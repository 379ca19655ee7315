"""Requests in OpenAI's format: URL, headers and body, by the `rules` of the model and its endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import pydantic_core

from asyncllm.parameters import FixedParams, FoundOnce
from asyncllm.transports.base import Connection
from asyncllm.transports.bodies import encode
from asyncllm.transports.headers import with_headers

from ..rules.endpoints import AZURE_API_VERSION, AZURE_MESSAGES, ENDPOINTS, EndpointRules
from ..rules.openai_models import azure_rules
from ..rules.parameter_rules import Mapped
from .format import Unserved
from .openai import ChunkReader, read_answer

_ASKING_USAGE: Mapping[str, object] = {"include_usage": True}
_NO_HEADERS: Mapping[str, str] = {}


class OpenAIRequest:
    """One request, and the readers of its answer.

    Attributes:
        url: The address that it is posted to.
        headers: All headers that the format decides.
        dropped: Names of the parameters that the model does not take.
    """

    __slots__ = ("_format", "_mapped", "_messages", "_stream", "dropped", "headers", "url")

    def __init__(
        self,
        made: OpenAIFormat,
        messages: Sequence[Mapping[str, object]],
        mapped: Mapped,
        headers: Mapping[str, str],
        *,
        stream: bool,
    ) -> None:
        self.url = made.url
        self.headers = headers
        self.dropped = mapped.dropped
        self._format = made
        self._messages = messages
        self._mapped = mapped
        self._stream = stream

    @property
    def body(self) -> dict[str, object]:
        """The body as plain data."""
        body: dict[str, object] = {"model": self._format.model, "messages": self._messages, **self._mapped.params}
        if self._stream:
            body["stream"] = True
            if self._format.asks_usage:
                given: Any = body.get("stream_options") or {}
                body["stream_options"] = {**_ASKING_USAGE, **given}
        return body

    def encode(self) -> bytes:
        """Encode the body.

        Raises:
            TypeError: It holds what JSON cannot express.
        """
        mapped = self._mapped
        if mapped.head and not (self._stream and "stream_options" in mapped.params):
            streamed = self._format.streamed if self._stream else b""
            try:
                return b'%b%b,"messages":%b}' % (mapped.head, streamed, pydantic_core.to_json(self._messages))
            except (ValueError, pydantic_core.PydanticSerializationError):
                pass
        return encode(self.body)

    def read_answer(self, body: bytes, secrets: tuple[str, ...] = ()) -> dict[str, object]:
        """Check a whole answer, and read it as litellm reads it."""
        return read_answer(body, secrets)

    def open_reader(self, secrets: tuple[str, ...] = ()) -> ChunkReader:
        """Return a reader for the events of the answer's stream."""
        choices = self._mapped.params.get("n")
        return ChunkReader(secrets, choices if isinstance(choices, int) and choices else 1)


class OpenAIFormat:
    """One model at one endpoint.

    Args:
        url: The address that requests are posted to.
        headers: The headers of a plain request, the key among them.
        model: The model's name, without a prefix.
        rules: What the endpoint and the model take.

    Attributes:
        url: The address that requests are posted to.
        headers: The headers of a plain request.
        model: The model's name.
        asks_usage: Whether a stream has to be asked for its usage; the others send it, and may refuse the question.
        streamed: What asks for a stream, encoded.
    """

    __slots__ = ("_messages", "_parameters", "_rules", "asks_usage", "headers", "model", "streamed", "url")

    def __init__(self, url: str, headers: Mapping[str, str], model: str, rules: EndpointRules) -> None:
        self.url = url
        self.headers = headers
        self.model = model
        self._rules, self._messages = rules.parameters, rules.messages
        self._parameters = FoundOnce(self._mapped)
        self.asks_usage = "stream_options" in rules.parameters.supported
        self.streamed = b',"stream":true'
        if self.asks_usage:
            self.streamed += b',"stream_options":%b' % encode(_ASKING_USAGE)

    def request(
        self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object], *, stream: bool = False
    ) -> OpenAIRequest | Unserved:
        """Return a request, or the reason why litellm has to serve it.

        Args:
            messages: Chat-completions messages, in order.
            params: Chat-completions parameters, without nulls.
            stream: Whether to stream the answer.
        """
        sent = self._messages.apply(messages)
        if sent is None:
            return Unserved("a message has a form that litellm rewrites for the provider")
        mapped = self._parameters(params)
        if isinstance(mapped, Unserved):
            return mapped
        extra: Any = params.get("extra_headers")
        headers = with_headers(self.headers, extra) if extra else self.headers
        return OpenAIRequest(self, sent, mapped, headers, stream=stream)

    def limit_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return no headers: `x-ratelimit-*` are OpenAI's own."""
        return _NO_HEADERS

    def _mapped(self, params: Mapping[str, object]) -> Mapped | Unserved:
        mapped = self._rules.apply(params)
        if type(params) is not FixedParams or isinstance(mapped, Unserved):
            return mapped
        return mapped._replace(head=encode({"model": self.model, **mapped.params}).removesuffix(b"}"))


def open_format(connection: Connection, model: str) -> OpenAIFormat | Unserved:
    """Return the format for a model, or the reason why litellm has to serve it.

    Args:
        connection: Where requests go, and with which key.
        model: The model's name, without a prefix.
    """
    provider, options = connection.provider, connection.options
    if provider == "azure":
        return _open_azure(connection, model)
    endpoint = ENDPOINTS.get(provider)
    if endpoint is None:
        return Unserved(f"litellm serves the provider {provider}")
    base_url = str(options.get("base_url") or endpoint.base_url or "").rstrip("/")
    if not base_url:
        return Unserved("there is no base_url")
    if endpoint.needs_key and connection.api_key is None:
        return Unserved("there is no key, and litellm looks for other credentials")
    if "?" in base_url or "chat/completions" in base_url or "api_version" in options:
        return Unserved("litellm takes such an address apart")
    rules = endpoint.rules(model, base_url)
    if rules is None:
        return Unserved("litellm serves the model by another API, or rewrites its answers")
    headers = endpoint.headers()
    if connection.api_key:
        headers = {**headers, "Authorization": f"Bearer {connection.api_key}"}
    headers = with_headers(headers, options.get("extra_headers"))
    return OpenAIFormat(f"{base_url}/chat/completions", headers, model, rules)


def _open_azure(connection: Connection, deployment: str) -> OpenAIFormat | Unserved:
    options = connection.options
    base_url = str(options.get("base_url") or "").rstrip("/")
    parts = urlsplit(base_url)
    if not connection.api_key:
        return Unserved("there is no key, and litellm logs in")
    if not parts.hostname or parts.path or parts.query:
        return Unserved("the address is a gateway, or one of Azure's other APIs")
    version = options.get("api_version") or os.environ.get("AZURE_API_VERSION") or AZURE_API_VERSION
    rules = azure_rules(deployment, version)
    if rules is None:
        return Unserved("litellm decides by the name of the deployment or by the API version")
    headers = with_headers({"api-key": str(connection.api_key)}, options.get("extra_headers"))
    path = f"/openai/deployments/{quote(deployment, safe='')}/chat/completions?api-version={quote(version)}"
    return OpenAIFormat(f"{base_url}{path}", headers, deployment, EndpointRules(rules, AZURE_MESSAGES))
