"""Conversion of message parts: texts, and media by content or by the address of an uploaded file."""

from __future__ import annotations

from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping

# Files that were uploaded to the API, which cannot be read from elsewhere.
_FILES = "https://generativelanguage.googleapis.com/v1beta/files/"
_BUCKET = "gs://"
_RESOLUTIONS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "medium": "MEDIA_RESOLUTION_MEDIUM",
    "high": "MEDIA_RESOLUTION_HIGH",
    "ultra_high": "MEDIA_RESOLUTION_ULTRA_HIGH",
}
RESOLUTIONS: tuple[str, ...] = tuple(_RESOLUTIONS.values())
"""From low to high."""

_VIDEO_FIELDS = {"fps": "fps", "start_offset": "startOffset", "end_offset": "endOffset"}


def content_parts(content: object, resolutions: list[str], *, each_resolved: bool) -> list[JsonObject]:
    """Return the parts of a list of parts, without empty texts.

    Args:
        content: Chat-completions parts.
        resolutions: The resolutions that media ask for; changed in place.
        each_resolved: Whether the model takes a resolution of each of them.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    if not is_list(content):
        raise UnservedError("a content is neither a text nor a list of parts")
    made: list[JsonObject] = []
    for part in content:
        if not is_mapping(part):
            raise UnservedError("a part of a content is no object")
        if part.get("cache_control"):
            raise UnservedError(CACHED)
        if part.get("type") == "text":
            text = part.get("text")
            if not isinstance(text, str):
                raise UnservedError("a text part has no text")
            if text:
                made.append({"text": text})
            continue
        made.append(_medium(part, resolutions, each_resolved=each_resolved))
    return made


CACHED = "litellm uploads what is marked to be cached"
"""Why a message or part with a cache mark is left to litellm."""


def inline(url: object, media_type: object = None) -> JsonObject:
    """Return the part of a `data:` URL.

    Args:
        url: The URL.
        media_type: The media type, where something else names it.
    """
    head, separator, data = url.removeprefix("data:").partition(";base64,") if isinstance(url, str) else ("", "", "")
    if not isinstance(url, str) or not url.startswith("data:") or not separator:
        raise UnservedError("media that are neither in base64 nor uploaded are fetched by litellm")
    kind = media_type if isinstance(media_type, str) and media_type else head.replace("\\/", "/")
    return {"inlineData": {"mimeType": kind, "data": data}}


def _medium(part: Mapping[str, object], resolutions: list[str], *, each_resolved: bool) -> JsonObject:
    kind = part.get("type")
    if kind == "image_url":
        image = part.get("image_url")
        fields: Mapping[str, object] = image if is_mapping(image) else {"url": image}
        made = _media_at(fields.get("url"), _media_type(fields))
    elif kind == "file":
        file = part.get("file")
        if not is_mapping(file):
            raise UnservedError("a file part has no file")
        fields = file
        made = _media_at(fields.get("file_id") or fields.get("file_data"), _media_type(fields))
        if is_mapping(video := fields.get("video_metadata")):
            made["videoMetadata"] = {_VIDEO_FIELDS[name]: video[name] for name in _VIDEO_FIELDS if name in video}
    elif kind == "input_audio":
        return _audio(part.get("input_audio"))
    else:
        raise UnservedError(f"parts of type {kind!r} are not supported")
    resolution = _RESOLUTIONS.get(str(fields.get("detail")))
    if resolution is not None:
        resolutions.append(resolution)
        if each_resolved:
            made["mediaResolution"] = {"level": resolution}
    return made


def _media_type(fields: Mapping[str, object]) -> object:
    return fields.get("format") or fields.get("mime_type") or fields.get("content_type")


def _media_at(url: object, media_type: object) -> JsonObject:
    if isinstance(url, str) and url.startswith(_FILES):
        return {"fileData": {"mimeType": media_type, "fileUri": url} if media_type else {"fileUri": url}}
    if isinstance(url, str) and url.startswith(_BUCKET):
        if not isinstance(media_type, str) or not media_type:
            raise UnservedError("the type of a file in a bucket is found by litellm")
        return {"fileData": {"mimeType": _plain_type(media_type), "fileUri": url}}
    return inline(url, media_type)


def _plain_type(media_type: str) -> str:
    """Return a media type without its parameters; `image/jpg` is a common mistake for `image/jpeg`."""
    plain = media_type.partition(";")[0].strip().lower()
    return "image/jpeg" if plain == "image/jpg" else plain


def _audio(audio: object) -> JsonObject:
    data, kind = (audio.get("data"), audio.get("format")) if is_mapping(audio) else (None, None)
    if not isinstance(data, str) or not isinstance(kind, str):
        raise UnservedError("an audio part has no data or no format")
    return {"inlineData": {"mimeType": kind if kind.startswith("audio/") else f"audio/{kind}", "data": data}}
