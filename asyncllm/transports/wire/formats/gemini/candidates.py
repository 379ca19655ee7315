"""Conversion of candidates: the parts, reasons and metadata that whole answers and streams share."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence

from ..json_values import JsonObject, is_list, list_of, object_of, text_of, text_or_none
from .signatures import signed_id

# Source: litellm's map of finish reasons.
_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MALFORMED_FUNCTION_CALL": "stop",
    "MALFORMED_RESPONSE": "stop",
    "MISSING_THOUGHT_SIGNATURE": "stop",
    "TOO_MANY_TOOL_CALLS": "stop",
    "UNEXPECTED_TOOL_CALL": "stop",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "OTHER": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "NO_IMAGE": "content_filter",
    "ESCALATION": "content_filter",
}
_DAY_S = 86_400  # for which litellm says that speech is kept
_METADATA = {
    "groundingMetadata": "vertex_ai_grounding_metadata",
    "urlContextMetadata": "vertex_ai_url_context_metadata",
    "safetyRatings": "vertex_ai_safety_results",
    "citationMetadata": "vertex_ai_citation_metadata",
}
"""Fields of a candidate that litellm keeps beside the choices, by its names of them."""


def finish_reason(reason: object, *, calls_tools: bool) -> str:
    """Return the finish reason of a candidate; `stop` for an unknown one."""
    found = _FINISH_REASONS.get(text_of(reason), "stop") if reason is not None else "stop"
    return "tool_calls" if calls_tools and found == "stop" else found


def parts_of(candidate: Mapping[str, object]) -> Sequence[object]:
    """Return the parts of a candidate; one that was blocked has none."""
    content = candidate.get("content")
    parts = object_of(content).get("parts") if content is not None else None
    return () if parts is None else list_of(parts)


def tool_call(part: Mapping[str, object], index: int) -> JsonObject:
    """Return a tool call; its id carries the signature of the thoughts before it."""
    call = object_of(part["functionCall"])
    signature = text_or_none(part.get("thoughtSignature"))
    id = text_or_none(call.get("id")) or f"call_{uuid.uuid4().hex[:28]}"  # older models send none
    made: JsonObject = {
        "id": signed_id(id, signature) if signature else id,
        "type": "function",
        "function": {
            "name": text_of(call.get("name")),
            "arguments": json.dumps(object_of(call.get("args") or {}), ensure_ascii=False),
        },
        "index": index,
    }
    return {**made, "provider_specific_fields": {"thought_signature": signature}} if signature else made


def inline_data(part: Mapping[str, object]) -> tuple[str, str]:
    """Return the media type and the base64 data of a part."""
    data = object_of(part["inlineData"])
    return text_of(data.get("mimeType")), text_of(data.get("data"))


def image_of(media_type: str, data: str) -> JsonObject:
    """Return a generated image."""
    url = f"data:{media_type};base64,{data}"
    return {"image_url": {"url": url, "detail": "auto"}, "index": 0, "type": "image_url"}


def audio_of(data: str) -> JsonObject:
    """Return generated speech; the API has no transcript of it."""
    return {"data": data, "expires_at": int(time.time()) + _DAY_S, "transcript": ""}


def logprobs_of(result: object) -> JsonObject | None:
    """Return the logprobs of a candidate's `logprobsResult`."""
    if result is None or "chosenCandidates" not in object_of(result):
        return None
    chosen = list_of(object_of(result)["chosenCandidates"])
    tops = object_of(result).get("topCandidates") or ()
    made: list[JsonObject] = []
    for index, token in enumerate(chosen):
        listed = object_of(list_of(tops)[index]).get("candidates") if index < len(list_of(tops)) else None
        made.append({**_logprob(token), "top_logprobs": [_logprob(top) for top in list_of(listed or ())]})
    return {"content": made}


def annotations_of(candidate: Mapping[str, object]) -> list[JsonObject]:
    """Return the citations of pages that ground the text."""
    grounding = candidate.get("groundingMetadata")
    if grounding is None:
        return []
    listed = grounding if is_list(grounding) else (grounding,)
    return [annotation for metadata in listed for annotation in _citations(object_of(metadata))]


def metadata_of(candidates: Sequence[object]) -> JsonObject:
    """Return what litellm keeps of candidates beside the choices, under its names."""
    found: dict[str, object] = {}
    for candidate in map(object_of, candidates):
        if _METADATA.keys().isdisjoint(candidate):
            continue
        for name, kept in _METADATA.items():
            if name in candidate:
                before, value = found.get(kept), candidate[name]
                more = value if is_list(value) and name == "groundingMetadata" else (value,)
                found[kept] = [*(before if is_list(before) else ()), *more]
    return found


def is_grounded(candidates: Sequence[object]) -> bool:
    """Return whether an answer used a search of pages or maps, whose tokens are not charged."""
    for candidate in map(object_of, candidates):
        grounding = candidate.get("groundingMetadata")
        for metadata in grounding if is_list(grounding) else (grounding,) if grounding is not None else ():
            chunks = list_of(object_of(metadata).get("groundingChunks") or ())
            if any(list_of(object_of(metadata).get("webSearchQueries") or ())):
                return True
            if object_of(metadata).get("googleMapsWidgetContextToken") or any("maps" in object_of(c) for c in chunks):
                return True
    return False


def _logprob(token: object) -> JsonObject:
    return {"token": object_of(token).get("token"), "logprob": object_of(token).get("logProbability")}


def _citations(metadata: JsonObject) -> list[JsonObject]:
    chunks = list_of(metadata.get("groundingChunks") or ())
    made: list[JsonObject] = []
    for support in map(object_of, list_of(metadata.get("groundingSupports") or ())):
        segment, indexes = object_of(support.get("segment") or {}), list_of(support.get("groundingChunkIndices") or ())
        start, end = segment.get("startIndex"), segment.get("endIndex")
        first = indexes[0] if indexes else None
        page = object_of(chunks[first]).get("web") if isinstance(first, int) and first < len(chunks) else None
        if start is None or end is None or page is None:
            continue
        web = object_of(page)
        citation = {"start_index": start, "end_index": end, "url": web.get("uri", ""), "title": web.get("title", "")}
        made.append({"type": "url_citation", "url_citation": citation})
    return made
