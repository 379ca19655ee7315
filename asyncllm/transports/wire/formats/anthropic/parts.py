"""Conversion of message parts into content blocks: texts, images and documents by content, URL or file id."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping

# Replaces the text of an empty message, which the API refuses. Source: litellm's prompt templates.
PLACEHOLDER = "[System: Empty message content sanitised to satisfy protocol]"

_IMAGE = "image/"
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")  # of the image types that the API takes
_PDF = "application/pdf"
_PLAIN_TEXT = "text/plain"


def is_blank(text: str) -> bool:
    """Return whether a text is empty or white space, which the API refuses."""
    return not text or text.isspace()


def text_block(text: str, marked: Mapping[str, object]) -> JsonObject:
    """Return the block of a text.

    Args:
        text: The text.
        marked: The part or message, with its cache mark if it has one.
    """
    return with_mark({"type": "text", "text": text}, marked)


def with_mark(block: JsonObject, marked: Mapping[str, object]) -> JsonObject:
    """Copy the cache mark of a part or message, if it has one, to a block."""
    mark = marked.get("cache_control")
    if is_mapping(mark):
        block["cache_control"] = dict(mark)
    return block


def content_blocks(content: object) -> list[JsonObject]:
    """Return the blocks of a list of parts, without blank texts.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    if not is_list(content):
        raise UnservedError("a content is neither a text nor a list of parts")
    return [block for part in content if (block := _block_of(part)) is not None]


def _block_of(part: object) -> JsonObject | None:
    if not is_mapping(part):
        raise UnservedError("a part of a content is no object")
    kind = part.get("type")
    if kind == "text":
        text = part.get("text")
        if not isinstance(text, str):
            raise UnservedError("a text part has no text")
        return None if is_blank(text) else text_block(text, part)
    if kind == "image_url":
        return with_mark(_image(part.get("image_url")), part)
    if kind == "file":
        return with_mark(_file(part.get("file")), part)
    if kind == "document":
        return dict(part)  # Anthropic's own
    raise UnservedError(f"parts of type {kind!r} are not supported")


def _image(image: object) -> JsonObject:
    url, media_type = (image.get("url"), image.get("format")) if is_mapping(image) else (image, None)
    if not isinstance(url, str):
        raise UnservedError("an image has no URL")
    if url.startswith("https://"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    return _inline(url, media_type, otherwise="image")


def _file(file: object) -> JsonObject:
    if not is_mapping(file):
        raise UnservedError("a file part has no file")
    data, file_id, media_type = file.get("file_data"), file.get("file_id"), file.get("format")
    if isinstance(data, str) and data:
        return _document_at(data) if data.startswith("https://") else _inline(data, media_type, otherwise="document")
    if not isinstance(file_id, str) or not file_id:
        raise UnservedError("a file has neither content nor id")
    if file_id.startswith("http"):
        return _document_at(file_id)
    block = _block_type(media_type, str(file.get("filename") or ""))
    return {"type": block, "source": {"type": "file", "file_id": file_id}}


def _document_at(url: str) -> JsonObject:
    return {"type": "document", "source": {"type": "url", "url": url}}


def _block_type(media_type: object, filename: str) -> str:
    """Return the type of block for an uploaded file; a document where neither argument says otherwise."""
    if not isinstance(media_type, str) or not media_type:
        return "image" if filename.lower().endswith(_IMAGE_SUFFIXES) else "document"
    if media_type in (_PDF, _PLAIN_TEXT):
        return "document"
    if media_type.startswith(_IMAGE):
        return "image"
    raise UnservedError(f"files of type {media_type} are for the code execution tool")


def _inline(url: str, media_type: object, *, otherwise: str) -> JsonObject:
    """Return the block of a `data:` URL.

    Args:
        url: The URL.
        media_type: The media type, where the part names one.
        otherwise: The type of block for other media types than images and documents.
    """
    head, separator, data = url.removeprefix("data:").partition(";base64,")
    if not url.startswith("data:") or not separator:
        raise UnservedError("an image or file has neither an https: URL nor a base64 data: URL")
    kind = media_type if isinstance(media_type, str) and media_type else head.replace("\\/", "/")
    if kind == _PLAIN_TEXT:
        source: JsonObject = {"type": "text", "media_type": kind, "data": _decoded(data)}
        return {"type": "document", "source": source}
    block = "document" if kind == _PDF else "image" if kind.startswith(_IMAGE) else otherwise
    return {"type": block, "source": {"type": "base64", "media_type": kind, "data": data}}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnservedError("a text file is not UTF-8 in base64") from None
