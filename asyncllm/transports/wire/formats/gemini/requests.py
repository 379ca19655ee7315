"""Requests to the Gemini API: URLs, headers and bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from asyncllm.parameters import FixedParams, FoundOnce
from asyncllm.transports.base import Connection
from asyncllm.transports.bodies import encode
from asyncllm.transports.headers import with_headers

from ..format import Unserved, UnservedError
from ..json_values import JsonObject, is_mapping
from .answers import read_answer
from .capabilities import capabilities_of
from .events import GeminiEvents
from .messages import convert_messages
from .parameters import GeminiParameters, map_parameters

_BASE_URL = "https://generativelanguage.googleapis.com"
_KEY = "x-goog-api-key"
# Fields of a body that do not come from parameters.
_OWN = frozenset(("contents", "systemInstruction"))


class GeminiRequest:
    """One request, and the readers of its answer.

    Attributes:
        url: Where it is posted.
        headers: All headers that the format decides.
    """

    __slots__ = ("_mapped", "_model", "_own", "headers", "url")

    def __init__(
        self, url: str, headers: Mapping[str, str], own: JsonObject, mapped: GeminiParameters, model: str
    ) -> None:
        self.url = url
        self.headers = headers
        self._own = own  # the fields that are this request's alone
        self._mapped = mapped
        self._model = model

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the parameters that the model does not take."""
        return tuple(self._mapped.dropped)

    @property
    def body(self) -> JsonObject:
        """The body as plain data."""
        return {**self._own, **self._mapped.sent, **self._config()}

    def encode(self) -> bytes:
        """Encode the body.

        Raises:
            TypeError: When it holds what JSON cannot say.
        """
        if self._mapped.head and "generationConfig" not in self._own:
            return b"%b,%b" % (self._mapped.head, encode(self._own)[1:])
        return encode(self.body)

    def read_answer(self, body: bytes, secrets: tuple[str, ...] = ()) -> JsonObject:
        """Read a whole answer into the chat-completions form."""
        return read_answer(body, secrets, model=self._model)

    def open_reader(self, secrets: tuple[str, ...] = ()) -> GeminiEvents:
        """Return a reader for the events of the answer's stream."""
        return GeminiEvents(secrets, model=self._model)

    def _config(self) -> JsonObject:
        own = self._own.get("generationConfig")
        return {"generationConfig": {**own, **self._mapped.config}} if is_mapping(own) else {}


class GeminiFormat:
    """One model at one endpoint.

    Args:
        url: The URL of the model, without a method.
        headers: The headers of a plain request, the key among them.
        model: The model's name, without a prefix.

    Attributes:
        url: Where requests are posted.
        stream_url: Where requests for streams are posted.
        headers: The headers of a plain request.
    """

    __slots__ = ("_capabilities", "_mapped", "_model", "headers", "stream_url", "url")

    def __init__(self, url: str, headers: Mapping[str, str], model: str) -> None:
        self.url = f"{url}:generateContent"
        self.stream_url = f"{url}:streamGenerateContent?alt=sse"
        self.headers = headers
        self._model = model
        self._capabilities = capabilities_of(model)
        self._mapped = FoundOnce(self._map)

    def request(
        self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object], *, stream: bool = False
    ) -> GeminiRequest | Unserved:
        """Return a request, or the reason why litellm has to serve it.

        Args:
            messages: Chat-completions messages, in order.
            params: Chat-completions parameters, without nulls.
            stream: Whether to stream the answer, which the URL says.
        """
        try:
            mapped = self._mapped(params)
            conversation = convert_messages(messages, self._capabilities)
        except UnservedError as error:
            return Unserved(str(error))
        own: JsonObject = {"contents": conversation.contents}
        if conversation.system:
            own["systemInstruction"] = {"parts": conversation.system}
        if conversation.resolution is not None and self._capabilities.resolves_together:
            own["generationConfig"] = {"mediaResolution": conversation.resolution}
        extra = params.get("extra_headers")
        headers = self.headers
        if extra and is_mapping(extra):
            headers = with_headers(headers, {name: str(value) for name, value in extra.items()})
        return GeminiRequest(self.stream_url if stream else self.url, headers, own, mapped, self._model)

    def limit_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the rate-limit headers of an answer; the API sends none."""
        return {}

    def _map(self, params: Mapping[str, object]) -> GeminiParameters:
        mapped = map_parameters(params, self._capabilities)
        if type(params) is FixedParams and mapped.sent and _OWN.isdisjoint(mapped.sent):
            mapped.head = encode(mapped.sent).removesuffix(b"}")
        return mapped


def open_format(connection: Connection, model: str) -> GeminiFormat | Unserved:
    """Return the format for a model, or the reason why litellm has to serve it.

    Args:
        connection: Where requests go, and with which key.
        model: The model's name, without a prefix.
    """
    options = connection.options
    version = "v1alpha" if capabilities_of(model).since_third else "v1beta"  # as litellm has it
    base_url = str(options.get("base_url") or f"{_BASE_URL}/{version}").rstrip("/")
    if not connection.api_key:
        return Unserved("there is no key, and litellm looks for other credentials")
    if "?" in base_url or "api_version" in options:
        return Unserved("litellm takes such an address apart")
    headers = with_headers({_KEY: connection.api_key}, options.get("extra_headers"))
    return GeminiFormat(f"{base_url}/models/{quote(model)}", headers, model)
