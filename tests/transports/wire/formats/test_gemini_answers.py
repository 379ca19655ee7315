"""Answers of Gemini's read as litellm reads them, but for the differences listed here; and by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.completions.usage import Usage
from asyncllm.errors import (
    AuthenticationError,
    BadRequestError,
    MalformedResponseError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from asyncllm.transports.errors import failure
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.gemini.answers import read_answer
from asyncllm.transports.wire.formats.gemini.events import GeminiEvents

from .gemini_answers import ANSWERS, CALL, SIGNED_CALL, SIGNED_TEXT, TEXT, THOUGHT, answer, candidate, events_of, sse
from .gemini_litellm import by_litellm

ASK = [{"role": "user", "content": "Hi"}]

# What differs by the name of the answer, and why.
_KEPT = "litellm loses what it has beside the choices when an answer was stopped"
_UNSTREAMED = "litellm does not stream it"
DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    "safety": {"ratings": _KEPT},
    "safety_late": {"content": "litellm loses the text that came before it was stopped"},
    "recitation": {"citations": _KEPT},
}
STREAM_DIFFERENCES: Mapping[str, Mapping[str, str]] = {
    **DIFFERENCES,
    **{name: {"thinking": _UNSTREAMED} for name in ("thoughts", "thoughts_call", "inclusive_thoughts")},
    "safety_late": {},
    "speech": {"audio": _UNSTREAMED},
    "grounded": {"tokens": "litellm adds up the total without the pages that were read"},
    "logprobs": {"logprobs": "litellm loses them when it puts chunks together"},
}


def facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what callers read of an answer."""
    choice = answer["choices"][0]
    said = choice["message"]
    calls = said.get("tool_calls") or ()
    fields = said.get("provider_specific_fields") or {}
    used = answer.get("usage") or {}
    prompt, output = (used.get(f"{name}_tokens_details") or {} for name in ("prompt", "completion"))
    audio = said.get("audio") or {}
    return {
        "model": answer["model"],
        "content": said.get("content") or "",
        "reasoning": said.get("reasoning_content"),
        "thinking": "".join(block["thinking"] for block in said.get("thinking_blocks") or ()),
        "calls": [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls],
        "finish_reason": choice["finish_reason"],
        "signatures": fields.get("thought_signatures"),
        "images": said.get("images") or None,
        "audio": audio.get("data"),
        "annotations": said.get("annotations") or None,
        "logprobs": _logprobs(choice.get("logprobs")),
        "grounding": answer.get("vertex_ai_grounding_metadata") or None,
        "pages": answer.get("vertex_ai_url_context_metadata") or None,
        "ratings": answer.get("vertex_ai_safety_results") or None,
        "citations": answer.get("vertex_ai_citation_metadata") or None,
        "tokens": [used.get(f"{name}_tokens") for name in ("prompt", "completion", "total")],
        "cached": used.get("cache_read_input_tokens"),
        # That all is text says nothing, and the searches are not tokens.
        "prompt_kinds": {
            name: n for name, n in prompt.items() if n and n != used["prompt_tokens"] and name != "web_search_requests"
        },
        "output_kinds": {name: n for name, n in output.items() if n and n != used["completion_tokens"]},
    }


def _logprobs(logprobs: Any) -> Any:
    tokens = (logprobs or {}).get("content") or ()
    return [(token["token"], token["logprob"], len(token["top_logprobs"])) for token in tokens]


def differing(theirs: Mapping[str, Any], ours: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return where two answers differ without a reason."""
    one, other = facts(theirs), facts(ours)
    return {name: (one[name], other[name]) for name in one if one[name] != other[name] and name not in known}


def streamed(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Read events, and put the chunks together."""
    reader, assembly = GeminiEvents(model="gemini-2.5-flash"), ChunkAssembly()
    for event in events:
        for chunk in reader.feed(json.dumps(event).encode()):
            assembly.add(chunk)
    assert reader.is_whole
    return assembly.result()


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_read_as_litellm_reads_them(name: str) -> None:
    """Text, thoughts, calls, reason and usage are the same, and so is litellm's response made of them."""
    theirs = by_litellm("gemini-2.5-flash", ASK, {}, answer=ANSWERS[name]).result
    ours = read_answer(json.dumps(ANSWERS[name]).encode())
    known = DIFFERENCES.get(name, {})
    assert differing(theirs.model_dump(), ours, known) == {}
    assert differing(import_litellm().ModelResponse(**ours).model_dump(), ours, known) == {}


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("name", ANSWERS)
def test_streams_are_read_as_litellm_reads_them(name: str) -> None:
    """What litellm's chunks make, the chunks of the format make."""
    if name == "no_reason":
        pytest.skip("a stream without a reason has no end")
    events = list(events_of(ANSWERS[name]))
    chunks = by_litellm("gemini-2.5-flash", ASK, {}, answer=sse(events), stream=True).result
    litellm: Any = import_litellm()
    built = litellm.stream_chunk_builder(chunks).model_dump()
    assert differing(built, streamed(events), STREAM_DIFFERENCES.get(name, {})) == {}


@pytest.mark.parametrize("name", ANSWERS)
def test_streams_make_the_same_answers(name: str) -> None:
    """The chunks of a stream make what the whole answer is."""
    if name == "no_reason":
        pytest.skip("a stream without a reason has no end")
    whole = facts(read_answer(json.dumps(ANSWERS[name]).encode()))
    for pieces in (1, 4, 50):
        assert facts(streamed(list(events_of(ANSWERS[name], pieces=pieces)))) == whole


def read(answer: Mapping[str, Any]) -> dict[str, Any]:
    return read_answer(json.dumps(answer).encode(), model="gemini-asked")


def choice(answer: Mapping[str, Any]) -> Any:
    return answer["choices"][0]


def test_an_answer_keeps_the_providers_names() -> None:
    """Id and model are the provider's, the model without its version; else it is the one that was asked."""
    made = read({**answer(TEXT), "modelVersion": "gemini-2.5-flash@001"})
    assert (made["id"], made["model"], made["object"]) == ("resp_1", "gemini-2.5-flash", "chat.completion")
    assert choice(made)["message"] == {"role": "assistant", "content": "Paris is the capital."}
    assert read({"candidates": [candidate(TEXT)]})["model"] == "gemini-asked"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("UNEXPECTED_TOOL_CALL", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    """The provider's own reason stays beside the usual one; an unknown one is an ordinary end."""
    whole = choice(read(answer(TEXT, reason=reason)))
    assert whole["finish_reason"] == expected
    assert whole["provider_specific_fields"] == {"native_finish_reason": reason}
    assert choice(streamed(list(events_of(answer(TEXT, reason=reason)))))["finish_reason"] == expected


def test_several_candidates() -> None:
    """They keep their numbers."""
    two = {**answer(TEXT), "candidates": [candidate(TEXT), candidate(SIGNED_TEXT, index=1)]}
    assert [one["index"] for one in read(two)["choices"]] == [0, 1]
    assert [one["message"]["content"] for one in read(two)["choices"]] == [TEXT["text"], "Paris."]


def test_calls_without_an_id_get_one() -> None:
    """Older models send none; a signature is a part of it."""
    call = {"functionCall": {"name": "f", "args": None}, "thoughtSignature": "c2ln"}
    first, second = choice(read(answer(call, {"functionCall": {"name": "f"}})))["message"]["tool_calls"]
    assert first["id"].startswith("call_")
    assert first["id"].endswith("__thought__c2ln")
    assert "__thought__" not in second["id"]
    assert first["id"].partition("__")[0] != second["id"]
    assert [first["function"]["arguments"], second["function"]["arguments"]] == ["{}", "{}"]


def test_calls_are_in_the_form_of_chat_completions() -> None:
    """With arguments as a JSON text, and the id of the provider."""
    (call,) = choice(read(answer(CALL)))["message"]["tool_calls"]
    assert (call["id"], json.loads(call["function"]["arguments"])) == ("fc_1", CALL["functionCall"]["args"])
    assert choice(read(answer(SIGNED_CALL)))["finish_reason"] == "tool_calls"


def test_thoughts_are_parts_of_the_answer() -> None:
    """Gemini counts them beside the others; tokens that its tools have read are a part of the prompt."""
    counts = {"promptTokenCount": 20, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 8, "thoughtsTokenCount": 30}
    cached = {"cachedContentTokenCount": 15, "totalTokenCount": 63}
    found = Usage.from_dict(read(answer(THOUGHT, TEXT, usage={**counts, **cached}))["usage"])
    assert (found.input_tokens, found.output_tokens) == (25, 38)
    assert (found.cached_tokens, found.reasoning_tokens) == (15, 30)


def test_an_answer_without_a_usage_has_an_unknown_one() -> None:
    """Nothing is made up."""
    assert "usage" not in read({"candidates": [candidate(TEXT)]})


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        ({"code": 503, "status": "UNAVAILABLE"}, 503, ServerError),
        ({"status": "RESOURCE_EXHAUSTED"}, 429, RateLimitError),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, 400, BadRequestError),
        (
            {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid. It was: sk-secret-key"},
            400,
            AuthenticationError,
        ),
    ],
)
def test_an_error_with_the_status_of_an_answer(
    error: Mapping[str, Any], status: int, expected: type[ProviderError]
) -> None:
    """Its code or its status says which it should have had, also in a list; the key does not get into it."""
    body = {"error": {"message": "Not now, sk-secret-key.", **error}}
    for data in (body, [body]):
        with pytest.raises(expected) as caught:
            read_answer(json.dumps(data).encode(), ("sk-secret-key",))
        assert (type(caught.value), caught.value.status_code) == (expected, status)
        assert "sk-secret-key" not in str(caught.value)


def test_the_wait_of_a_limit() -> None:
    """RetryInfo says when to come back, also in a stream."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}
    error = {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [info]}}
    made = failure(429, json.dumps(error))
    assert (type(made), made.retry_after) == (RateLimitError, 17.5)
    with pytest.raises(RateLimitError) as caught:
        GeminiEvents().feed(json.dumps(error).encode())
    assert caught.value.retry_after == 17.5


def test_an_error_without_a_status() -> None:
    """It is an answer that is none."""
    with pytest.raises(MalformedResponseError, match="sent an error: Hm"):
        read({"error": {"message": "Hm.", "status": "ODD"}})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": {}}',
        b'{"candidates": ["text"]}',
        b'{"promptFeedback": {}}',
        b'{"candidates": [{"content": 3}]}',
        b'{"candidates": [{"content": {"parts": [3]}}]}',
        b'{"candidates": [{"content": {"parts": [{"text": 3}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"args": {}}}]}}]}',
        b'{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": 3}}]}}]}',
        b'{"candidates": [{"finishReason": 3}]}',
        b'{"candidates": [{"finishReason": "STOP", "groundingMetadata": 3}]}',
        b'{"candidates": [{"finishReason": "STOP"}], "usageMetadata": 3}',
        b'{"candidates": [{"finishReason": "STOP"}], "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    """It is a MalformedResponseError, which shows how it begins."""
    with pytest.raises(MalformedResponseError, match="sent no answer") as caught:
        read_answer(body)
    assert caught.value.status_code == 200


def test_a_lone_surrogate_is_read() -> None:
    """JSON can say it, and models have written it."""
    assert choice(read(answer({"text": "a\ud800"})))["message"]["content"] == "a\ud800"
