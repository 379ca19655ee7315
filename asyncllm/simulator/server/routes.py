"""The paths of the simulated provider, their formats, and the instructions of a request to the simulator itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from ..answers.conversation import ChatRequest, InvalidRequestError, stable_number
from ..answers.json_values import is_object
from ..faults import Fault
from ..formats.anthropic import SimulatedAnthropic
from ..formats.gemini import SimulatedGemini
from ..formats.ollama import SimulatedOllama
from ..formats.openai import MODELS, SimulatedOpenAI
from ..formats.provider_format import ProviderFormat
from ..formats.proxy_models import model_info

# A model with this in its name does not exist, so that a test can ask for one.
MISSING_MODEL = "no-such-model"
# The header that carries what the body field `simulator` does, for clients that cannot add fields.
SCRIPT_HEADER = "x-simulator"

# What reading or answering raises when a field of a body is of the wrong type, which is the client's mistake.
MALFORMED = (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError)

_OPENAI, _ANTHROPIC, _OLLAMA = SimulatedOpenAI(), SimulatedAnthropic(), SimulatedOllama()
CHATS: Mapping[str, ProviderFormat] = {
    "/v1/chat/completions": _OPENAI,
    "/chat/completions": _OPENAI,
    "/v1/messages": _ANTHROPIC,
    "/api/chat": _OLLAMA,
}
_AZURE = ("/openai/deployments/", "/chat/completions")
# The versions are the SDK's and litellm's; a base URL of one's own may have none.
_GEMINI = re.compile(r"(?:/v1|/v1beta|/v1alpha)?/models/([^:]+):(generateContent|streamGenerateContent)")
_GEMINI_MODELS = re.compile(r"(?:/v1(?:beta|alpha)?)?/models(?:/([^/:]+))?")
_GEMINI_FORMATS = {"generateContent": SimulatedGemini(), "streamGenerateContent": SimulatedGemini(stream=True)}
_GEMINI_VERSIONS = ("/v1beta/", "/v1alpha/")  # OpenAI's format has the others
_GEMINI_KEY = "x-goog-api-key"


def chat_format(path: str) -> tuple[ProviderFormat | None, str | None]:
    """Return the chat format of a path, and the model when the path names it."""
    found = CHATS.get(path)
    if found is None and path.startswith(_AZURE[0]) and path.endswith(_AZURE[1]):
        model = path[len(_AZURE[0]) : -len(_AZURE[1])]
        return (_OPENAI, model) if model and "/" not in model else (None, None)
    contents = _GEMINI.fullmatch(path) if found is None else None
    if contents is not None:
        return _GEMINI_FORMATS[contents[2]], contents[1]
    return found, None


def format_of_errors(path: str, headers: Mapping[str, str]) -> ProviderFormat:
    """Return the format in whose words a path without a chat is refused."""
    if path.startswith("/api/"):
        return _OLLAMA
    if _GEMINI_KEY in headers or path.startswith(_GEMINI_VERSIONS):
        return _GEMINI_FORMATS["generateContent"]
    return _ANTHROPIC if "anthropic-version" in headers else _OPENAI


def model_endpoint(path: str, body: bytes, headers: Mapping[str, str]) -> tuple[str, bytes] | None:
    """Return the method and the answer of a path about models; an empty answer where the model does not exist."""
    if _GEMINI_KEY in headers or path.startswith(_GEMINI_VERSIONS):
        found = _GEMINI_MODELS.fullmatch(path)
        return ("GET", _gemini_models(found[1])) if found is not None else None
    if path in ("/v1/models", "/models"):
        return "GET", _OPENAI.list_models()
    if path.startswith("/v1/models/"):
        name = path.removeprefix("/v1/models/")
        return "GET", _OPENAI.one_model(name) if name in MODELS else b""
    if path in ("/model/info", "/v1/model/info"):
        return "GET", model_info()
    if path == "/api/tags":
        return "GET", _OLLAMA.list_models()
    if path == "/api/version":
        return "GET", _OLLAMA.version()
    if path == "/api/show":
        return "POST", _OLLAMA.show(body, MISSING_MODEL)
    return None


def _gemini_models(name: str | None) -> bytes:
    format_ = _GEMINI_FORMATS["generateContent"]
    if name is None:
        return format_.list_models()
    return format_.one_model(name) if name in MODELS else b""


def key_of(headers: Mapping[str, str]) -> str:
    """Return the key that a request carries; empty when it carries none."""
    bearer = headers.get("Authorization", "")
    if bearer[:7].lower() == "bearer ":
        return bearer[7:].strip()
    return headers.get("x-api-key") or headers.get("api-key") or headers.get(_GEMINI_KEY) or ""


def read_chat(format_: ProviderFormat, body: bytes, headers: Mapping[str, str], path_model: str | None) -> ChatRequest:
    """Read a request.

    Raises:
        InvalidRequestError: The provider would not accept it.
    """
    decoded = _decoded(body)
    format_.check_headers(headers)
    try:
        chat = format_.read(decoded, path_model)
    except MALFORMED as problem:
        raise InvalidRequestError(f"The request body is malformed: {problem!r}") from None
    if (script := _script(decoded, headers)) is not None:
        chat.script = script
    chat.id = f"sim{stable_number(body.decode('utf-8', 'replace')):016x}"
    return chat


def scripted_fault(chat: ChatRequest) -> Fault | None:
    """Return the fault that a request asks for."""
    options = chat.script.get("fault")
    if options is None:
        return None
    try:
        fault = Fault(**cast("dict[str, Any]", options))
    except (TypeError, ValueError) as problem:
        raise InvalidRequestError(f"'simulator.fault': {problem}", "simulator") from None
    if fault.of_connections:
        message = f"'simulator.fault': {fault.kind} is for connections, not for one request"
        raise InvalidRequestError(message, "simulator")
    return fault


def _decoded(body: bytes) -> Mapping[str, object]:
    try:
        decoded: object = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequestError("We could not parse the JSON body of your request.") from None
    if not is_object(decoded):
        raise InvalidRequestError("The body of your request must be a JSON object.")
    return decoded


def _script(decoded: Mapping[str, object], headers: Mapping[str, str]) -> Mapping[str, object] | None:
    script = decoded.get("simulator")
    if script is None and (text := headers.get(SCRIPT_HEADER)) is not None:
        with suppress(ValueError):
            script = json.loads(text)
        if not is_object(script):
            raise InvalidRequestError(f"the header {SCRIPT_HEADER} must be a JSON object", SCRIPT_HEADER)
    if script is None or is_object(script):
        return script
    raise InvalidRequestError("'simulator' must be an object", "simulator")
