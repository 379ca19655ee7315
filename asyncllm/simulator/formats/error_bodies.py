"""Error bodies in the words of the providers that speak OpenAI's format, or stand behind one that does.

Sources: the providers' API references, and what their servers are known to send where those are silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..answers.json_values import encode_json
from .anthropic import SimulatedAnthropic
from .gemini import SimulatedGemini
from .openai import SimulatedOpenAI
from .provider_format import ErrorDetails


def error_body(style: str, error: ErrorDetails, *, in_stream: bool = False) -> tuple[int, bytes]:
    """Return the status and the body of an error as a provider writes it.

    Args:
        style: A name of `STYLES`.
        error: What went wrong.
        in_stream: Whether it comes in the middle of a stream, where some providers use another form.
    """
    return STYLES[style](error, in_stream)


def _openai(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    return SimulatedOpenAI().error(error)


def _anthropic(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    return SimulatedAnthropic().error(error)


def _azure(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    status, message = _status_and_message(error, _AZURE)
    if error.reason == "content_policy":
        filtered = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "high"}}
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": filtered}
        body = {"message": message, "type": None, "param": "prompt", "code": "content_filter", "status": status}
        return status, encode_json({"error": {**body, "innererror": inner}})
    codes = {"context_window": "context_length_exceeded", "quota": "insufficient_quota"}
    usual = "DeploymentNotFound" if status == 404 else str(status)
    return status, encode_json({"error": {"code": codes.get(error.reason, usual), "message": message}})


def _gemini(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    status, body = SimulatedGemini().error(error)
    return status, b"[%b]" % body if in_stream else body


def _mistral(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    status, message = _status_and_message(error, _MISTRAL)
    if status in (401, 402, 403):
        return status, encode_json({"detail": message})
    wrong: dict[str, object] = {"type": "missing", "loc": ["body", "messages"], "msg": message, "input": {}}
    kind, code = _MISTRAL_KINDS.get(status, ("internal_server_error", "3000"))
    if error.reason == "context_window":
        kind, code = "invalid_request_prompt", "3051"
    body = {"object": "error", "type": kind, "param": None, "code": code}
    return status, encode_json({**body, "message": {"detail": [wrong]} if status == 422 else message})


def _vllm(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    status, message = _status_and_message(error, _VLLM)
    kind = {404: "NotFoundError", 401: "AuthenticationError"}.get(
        status, "BadRequestError" if status < 500 else "InternalServerError"
    )
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
    return status, encode_json({"error": body} if in_stream else body)


def _openrouter(error: ErrorDetails, in_stream: bool) -> tuple[int, bytes]:
    status, message = _status_and_message(error, _OPENROUTER)
    body: dict[str, object] = {"code": status, "message": message}
    if error.reason == "content_policy":
        body["metadata"] = {"reasons": ["violence"], "flagged_input": "...", "provider_name": "OpenAI"}
    elif status == 429 or status >= 500:
        # The error of the provider behind it is in the metadata alone.
        metadata = {"raw": message, "provider_name": "Simulated"}
        body = {"code": status, "message": "Provider returned error", "metadata": metadata}
    if not in_stream:
        return status, encode_json({"error": body, "user_id": "user_simulated"})
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    chunk = {"id": "gen-sim", "object": "chat.completion.chunk", "model": "simulated", "error": body}
    return status, encode_json({**chunk, "choices": [choice]})


STYLES: Mapping[str, Callable[[ErrorDetails, bool], tuple[int, bytes]]] = {
    "openai": _openai,
    "azure": _azure,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "mistral": _mistral,
    "vllm": _vllm,
    "openrouter": _openrouter,
}

_Messages = Mapping[str | int, tuple[int, str]]

_AZURE: _Messages = {
    "context_window": (
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in {tokens} tokens."
        " Please reduce the length of the messages.",
    ),
    "content_policy": (
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify"
        " your prompt and retry.",
    ),
    "quota": (429, "You exceeded your current quota, please check your plan and billing details."),
    401: (401, "Access denied due to invalid subscription key or wrong API endpoint."),
    404: (404, "The API deployment for this resource does not exist."),
    429: (
        429,
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of your"
        " current OpenAI S0 pricing tier. Please retry after 1 second.",
    ),
}
_MISTRAL: _Messages = {
    "context_window": (
        400,
        "Prompt contains {tokens} tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    ),
    "content_policy": (403, "Your message was blocked by moderation."),
    "quota": (402, "Insufficient credits."),
    401: (401, "Unauthorized"),
    404: (404, "no Route matched with those values"),
    422: (422, "Field required"),
    429: (429, "Requests rate limit exceeded"),
    503: (503, "Service unavailable."),
}
_MISTRAL_KINDS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "3000"),
    404: ("not_found_error", "1500"),
    422: ("invalid_request_error", "3000"),
    429: ("rate_limited", "1300"),
}
_VLLM: _Messages = {
    "context_window": (
        400, "The decoder prompt (length {tokens}) is longer than the maximum model length of 4096. Make sure that"
        " `max_model_len` is no smaller than the number of text tokens.",
    ),
    "content_policy": (400, "The request was flagged by the moderation of this server."),
    "quota": (402, "Payment required"),
    401: (401, "Unauthorized"),
    404: (404, "The model `simulated` does not exist."),
    503: (503, "The engine is dead."),
}  # fmt: skip
_OPENROUTER: _Messages = {
    "context_window": (
        400, "This endpoint's maximum context length is 32768 tokens. However, you requested about {tokens} tokens.",
    ),
    "content_policy": (403, "simulated/model requires moderation on OpenAI. Your input was flagged for \"violence\"."),
    "quota": (402, "Insufficient credits. Add more and try again."),
    401: (401, "No auth credentials found"),
    404: (404, "No endpoints found for simulated/model."),
    408: (408, "Request timed out"),
    429: (429, "simulated/model is temporarily rate-limited upstream. Please retry shortly."),
    502: (502, "The provider behind it went down"),
}  # fmt: skip
_TOKENS = (429, "Rate limit reached for tokens. Please try again later.")


def _status_and_message(error: ErrorDetails, messages: _Messages) -> tuple[int, str]:
    of_reason = messages.get(error.reason) or (_TOKENS if error.reason == "tokens" else None)
    status = error.status or (of_reason[0] if of_reason else 500)
    usual = "The server failed" if status >= 500 else "The request was refused"
    _, message = of_reason or messages.get(status) or (status, usual)
    return status, error.message or f"{message.format(tokens=error.tokens)} (simulated)"
