"""The parts of a message: text, pictures, documents, and the tool calls that a model makes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

_SHOWN_CHARACTERS = 60  # of a content in a repr: enough to recognise it, short enough for one line


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text.

    Attributes:
        text: The text.
        cache_control: The provider's cache mark, e.g. `{"type": "ephemeral"}`.
    """

    text: str
    cache_control: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the part as chat completions have it."""
        return without_none(type="text", text=self.text, cache_control=plain(self.cache_control))

    def __repr__(self) -> str:
        return f"Text({shortened(self.text)!r})"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, by address or by content; an address is handed to the provider and never fetched here.

    Attributes:
        url: An `https:` address or a `data:` URL.
        detail: How closely the model shall look: `auto`, `low` or `high`.
        cache_control: The provider's cache mark.
    """

    url: str
    detail: Literal["auto", "low", "high"] | None = None
    cache_control: Mapping[str, Any] | None = None

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Image:
        """Refer to a picture that the provider shall fetch.

        Args:
            url: Its address.
            **options: `detail` and `cache_control`.
        """
        return cls(url, **options)

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str | None = None, **options: Any) -> Image:
        """Send a picture's content.

        Args:
            content: The bytes of the file.
            media_type: Its type, such as `image/png`; None reads it from the first bytes.
            **options: `detail` and `cache_control`.

        Raises:
            ValueError: When the content is none of PNG, JPEG, GIF, WebP and no type is given.
        """
        return cls(_data_url(content, media_type or _image_type(content)), **options)

    @classmethod
    def from_path(cls, path: str | Path, **options: Any) -> Image:
        """Send the picture in a file.

        Args:
            path: The file.
            **options: As for `from_bytes`.

        Raises:
            OSError: When the file cannot be read.
            ValueError: When it is not a picture of a known kind.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes(), **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return the part as chat completions have it."""
        image = without_none(url=self.url, detail=self.detail)
        return without_none(type="image_url", image_url=image, cache_control=plain(self.cache_control))

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
    """

    data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    cache_control: Mapping[str, Any] | None = None

    @classmethod
    def from_bytes(cls, content: bytes, media_type: str, *, filename: str | None = None) -> File:
        """Send a document's content.

        Args:
            content: The bytes of the file.
            media_type: Its type, such as `application/pdf`.
            filename: What it is called, for the model.
        """
        return cls(data=_data_url(content, media_type), filename=filename)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> File:
        """Send the document in a file.

        Args:
            path: The file.
            media_type: Its type; None for the one that follows from the name.

        Raises:
            OSError: When the file cannot be read.
            ValueError: When the type does not follow from the name.
        """
        import mimetypes  # where a file is read, so is the table of types

        kind = media_type or mimetypes.guess_type(str(path))[0]
        if kind is None:
            raise ValueError(f"{path}: the type of the file does not follow from its name; give media_type=")
        return cls.from_bytes(Path(path).read_bytes(), kind, filename=Path(path).name)

    @classmethod
    def from_id(cls, file_id: str) -> File:
        """Refer to a file that was uploaded to the provider.

        Args:
            file_id: The provider's id of it.
        """
        return cls(file_id=file_id)

    def to_dict(self) -> dict[str, Any]:
        """Return the part as chat completions have it."""
        file = without_none(file_data=self.data, file_id=self.file_id, filename=self.filename)
        return without_none(type="file", file=file, cache_control=plain(self.cache_control))

    def __repr__(self) -> str:
        return f"File({self.filename or self.file_id or shortened(self.data or '')!r})"


Part: TypeAlias = Text | Image | File


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants made.

    Attributes:
        id: The model's id of the call; the result refers to it.
        name: The name of the tool.
        arguments: The arguments, a JSON text as the model wrote it.
    """

    id: str
    name: str
    arguments: str = "{}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ToolCall:
        """Read a call as chat completions have it."""
        function = data.get("function") or {}
        return cls(data.get("id") or "", function.get("name") or "", function.get("arguments") or "{}")

    def to_dict(self) -> dict[str, Any]:
        """Return the call as chat completions have it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def part_of(part: Any) -> Part:
    """Read a part in any accepted form.

    Raises:
        ValueError: When it is none of them.
    """
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Text | Image | File):
        return part
    if isinstance(part, Mapping):
        mark = part.get("cache_control")
        match part.get("type"):
            case "text":
                return Text(part["text"], cache_control=mark)
            case "image_url":
                image = part["image_url"]
                image = {"url": image} if isinstance(image, str) else image
                return Image(image["url"], detail=image.get("detail"), cache_control=mark)
            case "file":
                file = part["file"]
                return File(file.get("file_data"), file.get("file_id"), file.get("filename"), cache_control=mark)
    raise ValueError(f"a part of a message must be a str, Text, Image or File, not {shortened(repr(part))}")


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are set."""
    return {name: value for name, value in values.items() if value is not None}


def plain(mark: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a cache mark as a dict of its own."""
    return None if mark is None else dict(mark)


def shortened(value: Any) -> str:
    """Return a text, or the repr of anything else, short enough for a line."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"


def _data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _image_type(content: bytes) -> str:
    # The four formats that every vision model takes, by their signatures.
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("not a PNG, JPEG, GIF or WebP picture; convert it, or give media_type=")
