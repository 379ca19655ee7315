"""The Gemini format, plain and as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..answers.conversation import (
    TOKENS_PER_IMAGE,
    ChatRequest,
    InvalidRequestError,
    SimulatedAnswer,
    Tool,
    count_tokens,
    pieces_of,
)
from ..answers.json_values import as_array, as_object, encode_json, is_array, is_object
from .openai import MODELS
from .provider_format import ErrorDetails, ProviderFormat, chunk_chars, read_positive, read_stops

SIGNATURE = "c2ltdWxhdGVk"
"""Signs the first part after thoughts: "simulated" in base64."""

_METHODS = ("generateContent", "streamGenerateContent")
_BODY = frozenset(
    (
        "cachedContent",
        "contents",
        "generationConfig",
        "labels",
        "model",
        "safetySettings",
        "serviceTier",
        "simulator",
        "systemInstruction",
        "toolConfig",
        "tools",
    )
)
_CONFIG = frozenset(
    (
        "candidateCount",
        "frequencyPenalty",
        "imageConfig",
        "logprobs",
        "maxOutputTokens",
        "mediaResolution",
        "presencePenalty",
        "responseJsonSchema",
        "responseLogprobs",
        "responseMimeType",
        "responseModalities",
        "responseSchema",
        "seed",
        "speechConfig",
        "stopSequences",
        "temperature",
        "thinkingConfig",
        "topK",
        "topP",
    )
)
_FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_MESSAGES: Mapping[str | int, tuple[int, str]] = {
    "context_window": (400, "The input token count ({tokens}) exceeds the maximum number of tokens allowed (1048576)."),
    "content_policy": (400, "The request was blocked by the safety system."),
    "key": (400, "API key not valid. Please pass a valid API key."),
    "quota": (429, "Your prepayment credits are depleted. Please manage your project and billing."),
    "tokens": (429, "Rate limit reached for tokens. Please try again later."),
    401: (401, "Request had invalid authentication credentials."),
    404: (404, "The model is not found for API version v1beta, or is not supported for generateContent."),
    # Worded like a quota that is used up; only the details differ.
    429: (
        429,
        "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric:"
        " generate_content_free_tier_requests, limit: 15\nPlease retry in 0.005s.",
    ),
    503: (503, "The model is overloaded. Please try again later."),
}
_TYPES = "type.googleapis.com/google.rpc."
_KEY_DETAILS = [{"@type": f"{_TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
_LIMIT_DETAILS: list[dict[str, object]] = [
    {
        "@type": f"{_TYPES}QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "15"}],
    },
    {"@type": f"{_TYPES}RetryInfo", "retryDelay": "0.005s"},
]


class SimulatedGemini(ProviderFormat):
    """Reads and writes contents.

    Args:
        stream: Whether the answers are streams, which the path says.
    """

    stream_type = b"text/event-stream"
    done = b""

    def __init__(self, *, stream: bool = False) -> None:
        self._stream = stream

    def read(self, body: Mapping[str, object], path_model: str | None) -> ChatRequest:
        body = _spelt(body, _BODY, "")
        contents = body.get("contents")
        if not is_array(contents) or not contents:
            raise InvalidRequestError("* GenerateContentRequest.contents: contents is not specified", "contents")
        chat = ChatRequest(model=path_model or "", stream=self._stream, include_usage=True)
        _read_contents(chat, body.get("systemInstruction"), contents)
        _read_tools(chat, body.get("tools"))
        _read_choice(chat, as_object(body.get("toolConfig")))
        _read_config(chat, _spelt(as_object(body.get("generationConfig")), _CONFIG, " at 'generation_config'"))
        return chat

    def plain(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> bytes:
        candidates = [
            _candidate(index, list(_parts(answer, chat, size=None)), _reason(answer))
            for index, answer in enumerate(answers)
        ]
        return encode_json({"candidates": candidates, "usageMetadata": _usage(chat, answers, cached), **_head(chat)})

    def events(self, chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> Iterator[bytes]:
        head, early = _head(chat), {"promptTokenCount": chat.prompt_tokens, "totalTokenCount": chat.prompt_tokens}
        for index, answer in enumerate(answers):
            parts = list(_parts(answer, chat, size=chunk_chars(chat)))
            for part in parts[:-1]:
                yield _event({"candidates": [_candidate(index, [part])], "usageMetadata": early, **head})
            last = _candidate(index, parts[-1:], _reason(answer))
            yield _event({"candidates": [last], "usageMetadata": _usage(chat, answers, cached), **head})

    def error(self, error: ErrorDetails) -> tuple[int, bytes]:
        found = _MESSAGES.get(error.reason)
        # A key that is refused is no matter of authentication for this API.
        status = error.status if error.status and error.reason != "key" else found[0] if found else 500
        usual = "An internal error has occurred" if status >= 500 else "The request was refused"
        _, message = found or _MESSAGES.get(status) or (status, usual)
        text = error.message or f"{message.format(tokens=error.tokens)} (simulated)"
        body: dict[str, object] = {"code": status, "message": text, "status": _STATUSES.get(status, "UNKNOWN")}
        if status == 429 and error.reason != "quota":
            body["details"] = _LIMIT_DETAILS
        elif error.reason == "key":
            body["details"] = _KEY_DETAILS
        return status, encode_json({"error": body})

    def error_event(self, error: ErrorDetails) -> bytes:
        return self.framed_event(self.error(error)[1])

    def garbled_event(self) -> bytes:
        return b'data: {"candidates": [{"content": {"parts": [{"text": \n\n'

    def list_models(self) -> bytes:
        """Return the answer of GET /v1beta/models."""
        return encode_json({"models": [_model(name) for name in MODELS]})

    def one_model(self, name: str) -> bytes:
        """Return the answer of GET /v1beta/models/NAME."""
        return encode_json(_model(name))


def _spelt(given: Mapping[str, object], known: frozenset[str], where: str) -> Mapping[str, object]:
    """Return the fields of an object in the spelling of the documentation; the API takes that of its protocol as well.

    Raises:
        InvalidRequestError: One of them is unknown, which the API refuses.
    """
    made: dict[str, object] = {}
    for name, value in given.items():
        spelling = _camel(name)
        if spelling not in known:
            message = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            raise InvalidRequestError(message, name)
        made[spelling] = value
    return made


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _field(given: Mapping[str, object], name: str) -> object:
    """Return a field in either spelling."""
    return next((value for key, value in given.items() if _camel(key) == name), None)


def _read_contents(chat: ChatRequest, system: object, contents: Sequence[object]) -> None:
    chars = 0
    chat.system_text = _text_of(as_object(system))
    calls = 0
    for content in map(as_object, contents):
        role, parts = content.get("role", "user"), [as_object(part) for part in as_array(content.get("parts"))]
        if role not in ("user", "model") or not parts:
            raise InvalidRequestError("Please use a valid role: user, model; and at least one part.", "contents")
        results = [as_object(result) for part in parts if (result := _field(part, "functionResponse")) is not None]
        if results and len(results) != calls:
            message = (
                "Please ensure that the number of function response parts is equal to the number of function call parts"
                " of the function call turn."
            )
            raise InvalidRequestError(message, "contents")
        calls = _check_calls(parts, chat.model)
        text = _text_of(content)
        chars += len(text) + sum(map(_chars_of_call, parts))
        chat.images += sum(map(_is_media, parts))
        if results:
            chat.tool_result = "\n".join(json.dumps(result.get("response")) for result in results)
        elif role == "user":
            chat.user_texts.append(text)
            chat.tool_result = ""
    chat.prompt_tokens = max(1, -(-(chars + len(chat.system_text)) // 4)) + chat.images * TOKENS_PER_IMAGE


def _check_calls(parts: Sequence[Mapping[str, object]], model: str) -> int:
    """Return the number of function calls in a turn, the first of which has to be signed for a newer model."""
    calls = [part for part in parts if _field(part, "functionCall") is not None]
    if calls and model.startswith("gemini-3") and not _field(calls[0], "thoughtSignature"):
        raise InvalidRequestError("Function call is missing a thought_signature in functionCall parts.", "contents")
    return len(calls)


def _chars_of_call(part: Mapping[str, object]) -> int:
    """Return the length of what a call or a result says."""
    call, result = (as_object(_field(part, name)) for name in ("functionCall", "functionResponse"))
    return len(json.dumps([call.get("args"), result.get("response")])) if call or result else 0


def _text_of(content: Mapping[str, object]) -> str:
    texts = [as_object(part).get("text") for part in as_array(content.get("parts"))]
    return "\n".join(text for text in texts if isinstance(text, str))


def _is_media(part: Mapping[str, object]) -> bool:
    return _field(part, "inlineData") is not None or _field(part, "fileData") is not None


def _read_tools(chat: ChatRequest, tools: object) -> None:
    for tool in map(as_object, as_array(tools)):
        for declared in map(as_object, as_array(_field(tool, "functionDeclarations"))):
            name = declared.get("name")
            if not isinstance(name, str):
                raise InvalidRequestError("function_declarations[0].name: Invalid function name.", "tools")
            schema = _field(declared, "parametersJsonSchema") or _json_schema(declared.get("parameters"))
            chat.tools.append(
                Tool(name, str(declared.get("description") or ""), as_object(schema) or {"type": "object"})
            )
    if chat.tools:
        chat.prompt_tokens += count_tokens(
            json.dumps([[tool.name, tool.description, tool.parameters] for tool in chat.tools])
        )


def _json_schema(schema: object) -> object:
    """Return a schema of the API's subset as JSON Schema, whose types are in lower case."""
    if is_array(schema):
        return [_json_schema(inner) for inner in schema]
    if not is_object(schema):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _json_schema(value)
        for name, value in schema.items()
    }


def _read_choice(chat: ChatRequest, config: Mapping[str, object]) -> None:
    calling = as_object(_field(config, "functionCallingConfig"))
    mode = str(calling.get("mode", "AUTO")).upper()
    if calling and not chat.tools:
        raise InvalidRequestError("Function calling config is set without function_declarations.", "toolConfig")
    allowed = as_array(_field(calling, "allowedFunctionNames"))
    if mode == "ANY" and len(allowed) == 1:
        chat.tool_choice = str(allowed[0])
        if chat.tool_choice not in {tool.name for tool in chat.tools}:
            raise InvalidRequestError("allowed_function_names has a name that is not declared.", "toolConfig")
    else:
        chat.tool_choice = {"ANY": "required", "NONE": "none"}.get(mode, "auto")


def _read_config(chat: ChatRequest, config: Mapping[str, object]) -> None:
    chat.max_tokens = read_positive(config, "maxOutputTokens")
    chat.n = read_positive(config, "candidateCount") or 1
    chat.stop = read_stops(config.get("stopSequences"))
    chat.thinking = bool(_field(as_object(config.get("thinkingConfig")), "includeThoughts"))
    chat.json_object = config.get("responseMimeType") == "application/json"
    schema = config.get("responseJsonSchema") or _json_schema(config.get("responseSchema"))
    if is_object(schema):
        if not chat.json_object:
            raise InvalidRequestError("A schema needs the response mime type application/json.", "generationConfig")
        chat.schema = schema


def _head(chat: ChatRequest) -> dict[str, object]:
    return {"modelVersion": chat.model, "responseId": f"resp_{chat.id}"}


def _candidate(index: int, parts: list[dict[str, object]], reason: str | None = None) -> dict[str, object]:
    content = {"content": {"parts": parts, "role": "model"}} if parts else {}
    return {**content, **({"finishReason": reason} if reason else {}), "index": index}


def _reason(answer: SimulatedAnswer) -> str:
    return "SAFETY" if answer.refusal is not None else _FINISH_REASONS.get(answer.finish, answer.finish)


def _parts(answer: SimulatedAnswer, chat: ChatRequest, *, size: int | None) -> Iterator[dict[str, object]]:
    """Return the parts of an answer, with its texts in pieces of a size.

    A refused answer has none. The first call, or without calls the last piece of the text, carries a signature after
    thoughts.
    """
    if answer.refusal is not None:
        return
    for piece in pieces_of(answer.reasoning, size or max(1, len(answer.reasoning))):
        yield {"text": piece, "thought": True}
    signed = {"thoughtSignature": SIGNATURE} if answer.reasoning or chat.model.startswith("gemini-3") else {}
    texts = pieces_of(answer.text, size or max(1, len(answer.text)))
    if not texts and not answer.tool_calls and not answer.reasoning:
        texts = [""]
    for number, piece in enumerate(texts, start=1):
        is_last = number == len(texts) and not answer.tool_calls
        yield {"text": piece, **(signed if is_last else {})}
    for index, call in enumerate(answer.tool_calls):
        made = {"name": call.name, "args": _decoded(call.arguments), "id": call.id}
        yield {"functionCall": made, **(signed if index == 0 else {})}


def _decoded(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        # Cut by the limit of tokens: calls come whole or not at all, here empty.
        return {}


def _usage(chat: ChatRequest, answers: Sequence[SimulatedAnswer], cached: tuple[int, int]) -> dict[str, object]:
    thoughts = sum(count_tokens(answer.reasoning) for answer in answers if answer.reasoning)
    received = sum(answer.tokens for answer in answers)
    return {
        "promptTokenCount": chat.prompt_tokens,
        "candidatesTokenCount": max(0, received - thoughts),
        "totalTokenCount": chat.prompt_tokens + received,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": chat.prompt_tokens}],
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        **({"cachedContentTokenCount": cached[1]} if cached[1] else {}),
        **as_object(chat.script.get("usage")),
    }


def _event(value: object) -> bytes:
    return b"data: %b\r\n\r\n" % encode_json(value)


def _model(name: str) -> dict[str, object]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": list(_METHODS),
    }
