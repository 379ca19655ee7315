"""Requests to Anthropic's Messages API: URL, headers and body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncllm.parameters import FixedParams, FoundOnce
from asyncllm.transports.base import Connection
from asyncllm.transports.bodies import encode
from asyncllm.transports.headers import with_headers

from ..format import Unserved, UnservedError
from ..json_values import JsonObject, is_mapping
from .answers import read_answer
from .capabilities import capabilities_of
from .events import AnthropicEvents
from .limit_headers import limit_headers
from .messages import convert_messages
from .parameters import AnthropicParameters, map_parameters
from .tools import DUMMY_TOOLS

_BASE_URL = "https://api.anthropic.com"
_PATH = "/v1/messages"
_VERSION = {"anthropic-version": "2023-06-01"}
_BETA = "anthropic-beta"
_FILES_BETA = "files-api-2025-04-14"
# Fields of a body that do not come from parameters.
_OWN = frozenset(("messages", "stream", "system"))
# OAuth tokens are sent as a bearer token. Source: litellm's optionally_handle_anthropic_oauth.
_OAUTH_TOKEN = "sk-ant-oat"
_OAUTH_HEADERS = {_BETA: "oauth-2025-04-20", "anthropic-dangerous-direct-browser-access": "true"}


class AnthropicRequest:
    """One request, and the readers of its answer.

    Attributes:
        url: Where it is posted.
        headers: All headers that the format decides.
    """

    __slots__ = ("_mapped", "_own", "headers", "url")

    def __init__(self, url: str, headers: Mapping[str, str], own: JsonObject, mapped: AnthropicParameters) -> None:
        self.url = url
        self.headers = headers
        self._own = own  # the fields that are this request's alone
        self._mapped = mapped

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the parameters that the model does not take."""
        return tuple(self._mapped.dropped)

    @property
    def body(self) -> JsonObject:
        """The body as plain data."""
        return {**self._own, **self._mapped.sent}

    def encode(self) -> bytes:
        """Encode the body.

        Raises:
            TypeError: When it holds what JSON cannot say.
        """
        if self._mapped.head:
            return b"%b,%b" % (self._mapped.head, encode(self._own)[1:])
        return encode(self.body)

    def read_answer(self, body: bytes, secrets: tuple[str, ...] = ()) -> JsonObject:
        """Read a whole answer into the chat-completions form."""
        return read_answer(body, secrets, answers_by_tool=self._mapped.answers_by_tool)

    def open_reader(self, secrets: tuple[str, ...] = ()) -> AnthropicEvents:
        """Return a reader for the events of the answer's stream."""
        return AnthropicEvents(secrets, answers_by_tool=self._mapped.answers_by_tool)


class AnthropicFormat:
    """One model at one endpoint.

    Args:
        url: Where requests are posted.
        headers: The headers of a plain request, the key among them.
        model: The model's name, without a prefix.

    Attributes:
        url: Where requests are posted.
        headers: The headers of a plain request.
    """

    __slots__ = ("_capabilities", "_mapped", "_model", "_with_betas", "headers", "url")

    def __init__(self, url: str, headers: Mapping[str, str], model: str) -> None:
        self.url = url
        self.headers = headers
        self._model = model
        self._capabilities = capabilities_of(model)
        self._mapped = FoundOnce(self._map)
        self._with_betas: dict[tuple[str, ...], Mapping[str, str]] = {(): headers}

    def request(
        self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object], *, stream: bool = False
    ) -> AnthropicRequest | Unserved:
        """Return a request, or the reason why litellm has to serve it.

        Args:
            messages: Chat-completions messages, in order.
            params: Chat-completions parameters, without nulls.
            stream: Whether to stream the answer.
        """
        try:
            mapped = self._mapped(params)
            conversation = convert_messages(messages, system_anywhere=self._capabilities.system_anywhere)
        except UnservedError as error:
            return Unserved(str(error))
        own: JsonObject = {"messages": conversation.turns}
        if conversation.system:
            own["system"] = conversation.system
        if stream:
            own["stream"] = True
        if conversation.calls_tools and "tools" not in mapped.sent:
            own["tools"] = list(DUMMY_TOOLS)
        betas = (*mapped.betas, _FILES_BETA) if conversation.has_files else mapped.betas
        return AnthropicRequest(self.url, self._headers(betas, params.get("extra_headers")), own, mapped)

    def limit_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return `x-ratelimit-*` headers for Anthropic's own."""
        return limit_headers(headers)

    def _map(self, params: Mapping[str, object]) -> AnthropicParameters:
        mapped = map_parameters(params, self._capabilities)
        mapped.sent["model"] = self._model
        if type(params) is FixedParams and _OWN.isdisjoint(mapped.sent):
            mapped.head = encode(mapped.sent).removesuffix(b"}")
        return mapped

    def _headers(self, betas: tuple[str, ...], extra: object) -> Mapping[str, str]:
        if extra and is_mapping(extra):
            others = {name: str(value) for name, value in extra.items()}
            return _with_betas(with_headers(self.headers, others), (*_betas_in(self.headers), *betas))
        found = self._with_betas.get(betas)
        if found is None:
            found = self._with_betas[betas] = _with_betas(self.headers, betas)
        return found


def open_format(connection: Connection, model: str) -> AnthropicFormat | Unserved:
    """Return the format for a model, or the reason why litellm has to serve it.

    Args:
        connection: Where requests go, and with which key.
        model: The model's name, without a prefix.
    """
    options = connection.options
    base_url = str(options.get("base_url") or _BASE_URL).rstrip("/")
    if not connection.api_key:
        return Unserved("there is no key, and litellm looks for other credentials")
    if "?" in base_url or "api_version" in options:
        return Unserved("litellm takes such an address apart")
    headers: Mapping[str, str] = {**_VERSION, "x-api-key": connection.api_key}
    if connection.api_key.startswith(_OAUTH_TOKEN):
        headers = {**_VERSION, "Authorization": f"Bearer {connection.api_key}", **_OAUTH_HEADERS}
    return AnthropicFormat(_messages_url(base_url), with_headers(headers, options.get("extra_headers")), model)


def _messages_url(base_url: str) -> str:
    if base_url.endswith(_PATH):
        return base_url
    return base_url + (_PATH.removeprefix("/v1") if base_url.endswith("/v1") else _PATH)


def _with_betas(headers: Mapping[str, str], betas: tuple[str, ...]) -> Mapping[str, str]:
    """Return headers with further betas."""
    return with_headers(headers, {_BETA: ",".join(dict.fromkeys((*_betas_in(headers), *betas)))}) if betas else headers


def _betas_in(headers: Mapping[str, str]) -> list[str]:
    named = next((value for name, value in headers.items() if name.lower() == _BETA), "")
    return [beta.strip() for beta in named.split(",") if beta.strip()]
