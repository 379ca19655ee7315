"""Prompts of a table's rows: a template with instructions and a picture, or rows that are requests already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..content import Image
from ..errors import ConfigError, nearest
from ..messages import Message, Request
from .prompt_template import RowProblem, Template

_ENDPOINT = "/v1/chat/completions"
# The fields of a row of OpenAI's batch files. Source: OpenAI, "Batch API".
_OPENAI_FIELDS = frozenset({"custom_id", "method", "url", "body"})
# The arguments of a `Request` that are no parameters.
_OURS = frozenset({"id", "data", "response_model"})
# The field with the ids of rows where none is named; an input may lack it.
DEFAULT_ID_FIELD = "id"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Builds the request of a row.

    Args:
        image_field: The field with the path or address of a picture; an empty one is no picture.
        id_field: The field with the row's id; None for none.
        directory: The directory of pictures that are not in the working directory.
    """

    template: Template
    system: str | None = None
    image_field: str | None = None
    id_field: str | None = None
    directory: Path | None = None

    def check(self, names: Iterable[str], row: Mapping[str, object] | None = None) -> None:
        """Raise ConfigError, with the nearest name, if the table lacks a field."""
        names = list(names)
        self.template.check(names, row)
        if self.id_field is not None and self.id_field not in (DEFAULT_ID_FIELD, *names):
            near = nearest(self.id_field, names)
            meant = f" Did you mean {near}?" if near else ""
            raise ConfigError(
                f"the field of the ids is {self.id_field!r}, which the input does not have.{meant}",
                hint=f"Its fields are: {', '.join(names) or 'none'}.",
            )
        if self.image_field is not None:
            Template(f"{{{self.image_field}}}").check(names, row)

    def request(self, row: Mapping[str, object], data: object = None) -> Request:
        """Return the request of a row.

        Raises:
            RowProblem: The row lacks a field, or its picture cannot be read.
        """
        text = self.template.render(row)
        image = self._image(row) if self.image_field is not None else None
        user = Message.user(text) if image is None else Message.user(text, image)
        messages = [user] if self.system is None else [Message.system(self.system), user]
        id = row.get(self.id_field) if self.id_field is not None else None
        return Request(messages, id=None if id is None else str(id), data=data)

    def _image(self, row: Mapping[str, object]) -> Image | None:
        assert self.image_field is not None
        if self.image_field not in row:
            raise RowProblem(f"has no field {self.image_field!r}")
        value = row[self.image_field]
        if value is None or value == "":
            return None
        if isinstance(value, bytes):
            content = value
        elif not isinstance(value, str):
            raise RowProblem(f"has no path in {self.image_field!r}")
        elif value.startswith(("http://", "https://", "data:")):
            return Image.from_url(value)
        else:
            content = self._read(Path(value))
        try:
            return Image.from_bytes(content)
        except ValueError as error:
            raise RowProblem(f"has no picture in {self.image_field!r}: {error}") from None

    def _read(self, path: Path) -> bytes:
        if self.directory is not None and not path.exists():
            path = self.directory / path
        try:
            return path.read_bytes()
        except OSError as error:
            raise RowProblem(f"names a picture that cannot be read: {path}: {error.strerror}") from None


def is_openai_row(row: Mapping[str, object]) -> bool:
    """Return whether a row is a request of OpenAI's batch files."""
    return row.keys() >= {"custom_id", "body"} and row.keys() <= _OPENAI_FIELDS and isinstance(row["body"], Mapping)


class OpenAIRows:
    """Builds requests from rows of OpenAI's batch files.

    Args:
        model: The model that replaces those of the rows; None for the rows' own.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model

    def check(self, names: Iterable[str], row: Mapping[str, object] | None = None) -> None:
        """Raise ConfigError if the first row is no request."""
        if row is not None and not is_openai_row(row):
            raise ConfigError("the rows are no requests: they lack custom_id and body.", hint="Give a --template.")

    def request(self, row: Mapping[str, object], data: object = None) -> Request:
        """Return the request of a row.

        Raises:
            RowProblem: The row is no chat request.
        """
        given = row.get("body")
        if not is_openai_row(row) or not isinstance(given, Mapping):
            raise RowProblem("is no request: it lacks custom_id or body")
        if row.get("url", _ENDPOINT) != _ENDPOINT or row.get("method", "POST") != "POST":
            raise RowProblem(f"asks for {row.get('method')} {row.get('url')}, not for POST {_ENDPOINT}")
        body: dict[str, Any] = {**given}
        messages = body.pop("messages", None)
        for name in ("stream", "stream_options"):
            body.pop(name, None)  # they change how an answer travels, not the answer
        if self._model is not None or not isinstance(body.get("model"), str):
            body.pop("model", None)
        if ours := sorted(_OURS & body.keys()):
            raise RowProblem(f"has {', '.join(ours)} in its body, which no chat request has")
        try:
            return Request(messages, id=str(row["custom_id"]), data=data, **body)
        except (TypeError, ValueError) as error:
            raise RowProblem(f"is no valid request: {error}") from None
