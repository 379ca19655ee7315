"""Answers of Gemini's, whole and as the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

USAGE: Mapping[str, Any] = {"promptTokenCount": 20, "candidatesTokenCount": 8, "totalTokenCount": 28}
TEXT = {"text": "Paris is the capital."}
THOUGHT = {"text": "France, so Paris.", "thought": True}
SIGNED_TEXT = {"text": "Paris.", "thoughtSignature": "dGV4dA=="}
CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Köln", "days": [1, 2]}, "id": "fc_1"}}
CALL_2 = {"functionCall": {"name": "get_time", "args": {}, "id": "fc_2"}}
SIGNED_CALL = {**CALL, "thoughtSignature": "c2ln"}
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}}
SPEECH = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}}
UNKNOWN = {"hologram": {"light": [1, 2]}}
GROUNDING: Mapping[str, Any] = {
    "webSearchQueries": ["capital of France"],
    "groundingChunks": [{"web": {"uri": "https://example.com/a", "title": "A"}}],
    "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5, "text": "Paris"}, "groundingChunkIndices": [0]}],
}
RATINGS = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]


def candidate(*parts: Mapping[str, Any], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    """Make a candidate."""
    made: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    return {**made, **({"finishReason": reason} if reason else {}), "index": 0, **fields}


def answer(*parts: Mapping[str, Any], usage: Mapping[str, Any] = USAGE, **fields: Any) -> dict[str, Any]:
    """Make a whole answer of one candidate."""
    return {
        "candidates": [candidate(*parts, **fields)],
        "usageMetadata": dict(usage),
        "modelVersion": "gemini-2.5-flash",
        "responseId": "resp_1",
    }


def usage(**figures: Any) -> dict[str, Any]:
    """Make a usage with further figures."""
    return {**USAGE, **figures}


def by_kind(**counts: int) -> list[dict[str, Any]]:
    """Make the list of counts by modality."""
    return [{"modality": kind.upper(), "tokenCount": count} for kind, count in counts.items()]


BLOCKED: Mapping[str, Any] = {
    "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": RATINGS},
    "usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 20},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "resp_1",
}

ANSWERS: Mapping[str, dict[str, Any]] = {
    "text": answer(TEXT),
    "texts": answer(TEXT, {"text": " And of Île-de-France."}),
    "empty": answer({"text": ""}),
    "max_tokens": answer(TEXT, reason="MAX_TOKENS"),
    "max_tokens_in_thoughts": answer(
        reason="MAX_TOKENS", usage={"promptTokenCount": 20, "thoughtsTokenCount": 60, "totalTokenCount": 80}
    ),
    "no_reason": answer(TEXT, reason=None),
    "new_reason": answer(TEXT, reason="SOMETHING_NEW"),
    "language": answer(TEXT, reason="LANGUAGE"),
    "malformed_call": answer(reason="MALFORMED_FUNCTION_CALL", finishMessage="Malformed function call: f("),
    "safety": answer(reason="SAFETY", safetyRatings=RATINGS),
    "safety_late": answer(TEXT, reason="SAFETY"),
    "recitation": answer(reason="RECITATION", citationMetadata={"citationSources": [{"uri": "https://example.com"}]}),
    "blocked": dict(BLOCKED),
    "call": answer(CALL),
    "calls": answer(TEXT, CALL, CALL_2),
    "signed_calls": answer(SIGNED_CALL, CALL_2),
    "thoughts": answer(THOUGHT, TEXT, usage=usage(thoughtsTokenCount=30, totalTokenCount=58)),
    "thoughts_call": answer(
        THOUGHT, {"text": " More.", "thought": True}, TEXT, SIGNED_CALL, usage=usage(thoughtsTokenCount=30)
    ),
    "signed_text": answer(SIGNED_TEXT),
    "image": answer(TEXT, IMAGE, usage=usage(candidatesTokensDetails=by_kind(image=5, text=3))),
    "speech": answer(SPEECH, usage=usage(candidatesTokensDetails=by_kind(audio=8))),
    "unknown": answer(UNKNOWN, TEXT),
    "rated": answer(TEXT, safetyRatings=RATINGS, avgLogprobs=-0.1),
    "grounded": answer(TEXT, groundingMetadata=GROUNDING, usage=usage(toolUsePromptTokenCount=90, totalTokenCount=118)),
    "read_pages": answer(
        TEXT, urlContextMetadata={"urlMetadata": []}, usage=usage(toolUsePromptTokenCount=90, totalTokenCount=118)
    ),
    "logprobs": answer(
        TEXT,
        logprobsResult={
            "chosenCandidates": [{"token": "Paris", "logProbability": -0.1}],
            "topCandidates": [{"candidates": [{"token": "Paris", "logProbability": -0.1}]}],
        },
    ),
    "cached": answer(TEXT, usage=usage(cachedContentTokenCount=15, promptTokensDetails=by_kind(text=20))),
    "cached_kinds": answer(
        TEXT,
        usage=usage(
            cachedContentTokenCount=15,
            promptTokensDetails=by_kind(text=12, image=8),
            cacheTokensDetails=by_kind(text=10, image=5),
        ),
    ),
    "documents": answer(TEXT, usage=usage(promptTokensDetails=by_kind(text=4, document=10, audio=6))),
    "inclusive_thoughts": answer(THOUGHT, TEXT, usage=usage(thoughtsTokenCount=3)),
}


def events_of(whole: Mapping[str, Any], *, pieces: int = 3) -> Iterator[dict[str, Any]]:
    """Make the events in which an answer is streamed, of which only the last has a reason and all of the usage."""
    head = {name: whole[name] for name in ("modelVersion", "responseId") if name in whole}
    used = whole["usageMetadata"]
    early = {"promptTokenCount": used["promptTokenCount"], "totalTokenCount": used["promptTokenCount"]}
    if "candidates" not in whole:
        yield dict(whole)
        return
    ((last, parts),) = [(one, one.get("content", {}).get("parts", [])) for one in whole["candidates"]]
    cut = [piece for part in parts for piece in _cut(part, pieces)]
    for part in cut[:-1]:
        yield {"candidates": [candidate(part, reason=None)], "usageMetadata": early, **head}
    ending = candidate(*cut[-1:], reason=None)
    yield {"candidates": [{**last, **ending}], "usageMetadata": used, **head}


def sse(events: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode events as they stand on the wire."""
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in events)


def _cut(part: Mapping[str, Any], pieces: int) -> list[dict[str, Any]]:
    text = part.get("text")
    if not text:
        return [dict(part)]
    size = max(1, -(-len(text) // pieces))
    rest = {name: value for name, value in part.items() if name not in ("text", "thoughtSignature")}
    made = [{**rest, "text": text[start : start + size]} for start in range(0, len(text), size)]
    made[-1] |= {name: part[name] for name in ("thoughtSignature",) if name in part}
    return made
