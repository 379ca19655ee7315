"""Parts of a message: text, images and files; and the tool calls of a model."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

from .narrowing import is_mapping, mapping_or_empty

_SHOWN_CHARACTERS = 60  # of a content in a repr: enough to recognise it, short enough for one line


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text.

    Attributes:
        text: The text.
        cache_control: The provider's cache mark, e.g. `{"type": "ephemeral"}`.

    Example:
        ```python
        terms = Text("The terms of the contract: ...", cache_control={"type": "ephemeral"})
        answer = await llm.acompletion(Message.user(terms, "When does it end?"))
        ```
    """

    text: str
    cache_control: Mapping[str, object] | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the part in chat-completions form."""
        return without_none(type="text", text=self.text, cache_control=copied(self.cache_control))

    def __repr__(self) -> str:
        return f"Text({shortened(self.text)!r})"


class _ImageOptions(TypedDict, total=False):
    detail: str | None
    cache_control: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Image:
    """An image, by URL or by content; a URL is passed to the provider, and never fetched here.

    Attributes:
        url: An `https:` or a `data:` URL.
        detail: The resolution for the model: `auto`, `low` or `high`.
        cache_control: The provider's cache mark.

    Example:
        ```python
        question = Message.user("What is on this photo?", Image.from_path("photo.jpg", detail="low"))
        answer = await llm.acompletion(question)
        ```
    """

    url: str
    detail: str | None = None
    cache_control: Mapping[str, object] | None = None

    @classmethod
    def from_url(cls, url: str, **options: Unpack[_ImageOptions]) -> Image:
        """Return an image that the provider fetches.

        Args:
            url: Its URL.
            **options: `detail` and `cache_control`.
        """
        return cls(url, **options)

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str | None = None, **options: Unpack[_ImageOptions]) -> Image:
        """Return an image with its content.

        Args:
            content: The bytes of the file.
            media_type: Its type, such as `image/png`; None to detect PNG, JPEG, GIF and WebP by their first bytes.
            **options: `detail` and `cache_control`.

        Raises:
            ValueError: No type is given, and none is detected.
        """
        return cls(_data_url(content, media_type or _image_type(content)), **options)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None, **options: Unpack[_ImageOptions]) -> Image:
        """Return the image in a file.

        Args:
            path: The file.
            media_type: As for `from_bytes`.
            **options: `detail` and `cache_control`.

        Raises:
            OSError: The file cannot be read.
            ValueError: No type is given, and none is detected.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes(), media_type, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, object]:
        """Return the part in chat-completions form."""
        image = without_none(url=self.url, detail=self.detail)
        return without_none(type="image_url", image_url=image, cache_control=copied(self.cache_control))

    def __repr__(self) -> str:
        return f"Image({shortened(self.url)!r})"


@dataclass(frozen=True, slots=True)
class File:
    """A document, by content or by the id of an upload.

    Attributes:
        data: A `data:` URL.
        file_id: The provider's id of an uploaded file.
        filename: Its name.
        cache_control: The provider's cache mark.

    Example:
        ```python
        question = Message.user("What is the total?", File.from_path("invoice.pdf"))
        answer = await llm.acompletion(question)
        ```
    """

    data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    cache_control: Mapping[str, object] | None = None

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str, *, filename: str | None = None) -> File:
        """Return a document with its content.

        Args:
            content: The bytes of the file.
            media_type: Its type, such as `application/pdf`.
            filename: Its name, for the model.
        """
        return cls(data=_data_url(content, media_type), filename=filename)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> File:
        """Return the document in a file.

        Args:
            path: The file.
            media_type: Its type; None to derive it from the file name.

        Raises:
            OSError: The file cannot be read.
            ValueError: No type is given, and the name has no known one.
        """
        import mimetypes  # reads the system's table of types on first use

        media_type = media_type or mimetypes.guess_type(str(path))[0]
        if media_type is None:
            raise ValueError(f"{path}: the file name has no known media type; pass media_type=")
        return cls.from_bytes(Path(path).read_bytes(), media_type, filename=Path(path).name)

    @classmethod
    def from_id(cls, file_id: str) -> File:
        """Return a file that was uploaded to the provider.

        Args:
            file_id: The provider's id of it.
        """
        return cls(file_id=file_id)

    def to_dict(self) -> dict[str, object]:
        """Return the part in chat-completions form."""
        file = without_none(file_data=self.data, file_id=self.file_id, filename=self.filename)
        return without_none(type="file", file=file, cache_control=copied(self.cache_control))

    def __repr__(self) -> str:
        return f"File({self.filename or self.file_id or shortened(self.data or '')!r})"


Part: TypeAlias = Text | Image | File


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of the model.

    Attributes:
        id: The model's id of the call, which the result refers to.
        name: The name of the tool.
        arguments: The arguments, as the JSON text that the model wrote.

    Example:
        ```python
        call = ToolCall(id="call_1", name="get_weather", arguments='{"city": "Oslo"}')
        result = Message.tool_result(call, "12 degrees and rain")
        ```
    """

    id: str
    name: str
    arguments: str = "{}"

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> ToolCall:
        """Return the call of a chat-completions dict."""
        function = mapping_or_empty(data.get("function"))
        arguments = function.get("arguments") or "{}"
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        return cls(str(data.get("id") or ""), str(function.get("name") or ""), text)

    def to_dict(self) -> dict[str, object]:
        """Return the call in chat-completions form."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def part_of(part: object) -> Part:
    """Return a part given as such, as a string or as a chat-completions dict.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Text | Image | File):
        return part
    if is_mapping(part) and (read := _part_from_dict(part)) is not None:
        return read
    raise ValueError(f"a message part must be a str, Text, Image or File, not {shortened(repr(part))}")


def without_none(**values: object) -> dict[str, object]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def optional_string(values: Mapping[str, object], key: str) -> str | None:
    """Return a string of a chat-completions dict; None when it is not set.

    Raises:
        ValueError: The value is not a string.
    """
    value = values.get(key)
    if not isinstance(value, str | None):
        raise ValueError(f"{key} must be a str, not {type(value).__name__}")
    return value


def copied(mark: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return a copy of a cache mark."""
    return None if mark is None else dict(mark)


def shortened(value: object) -> str:
    """Return a string, or the repr of any other value, short enough for one line."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"


def _part_from_dict(part: Mapping[str, object]) -> Part | None:
    mark = part.get("cache_control")
    cache_control = mark if is_mapping(mark) else None
    match part:
        case {"type": "text", "text": str(text)}:
            return Text(text, cache_control)
        case {"type": "image_url", "image_url": str(url)}:
            return Image(url, cache_control=cache_control)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return Image(url, optional_string(mapping_or_empty(part["image_url"]), "detail"), cache_control)
        case {"type": "file", "file": file} if is_mapping(file):
            data, file_id, filename = (optional_string(file, key) for key in ("file_data", "file_id", "filename"))
            return File(data, file_id, filename, cache_control)
        case _:
            return None


def _data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _image_type(content: bytes) -> str:
    # The four formats that every vision model accepts, by their signatures.
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("not a PNG, JPEG, GIF or WebP image; convert it, or pass media_type=")
