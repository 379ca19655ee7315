"""Answers of Gemini's read as litellm reads them, but for the differences listed here; and by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from asyncllm.completions.chunk_assembly import ChunkAssembly
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.gemini.answers import read_answer
from asyncllm.transports.wire.formats.gemini.events import GeminiEvents

from .gemini_answers import ANSWERS, events_of, sse
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
        "prompt_kinds": {name: count for name, count in prompt.items() if count and name != "web_search_requests"},
        # That all of the answer is text says nothing.
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
