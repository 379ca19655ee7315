"""Requests of a dataset's rows: a template, or a column that has the messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from ..batch.prompt_template import RowProblem, Template
from ..batch.prompts import Prompt
from ..errors import ConfigError
from ..messages import Request
from ..narrowing import is_list, is_mapping


@dataclass(frozen=True, slots=True)
class RowPrompt:
    """The prompt of a row.

    Attributes:
        template: The prompt with `{column}`; None where a column has the messages.
        messages: The column with the messages: a text, or a list of messages, also as JSON.
        system: Instructions that come first, of a template.
        image: The column with the path or address of a picture, or its bytes; of a template.
        id: The column with the ids of the rows.

    Raises:
        ConfigError: The arguments do not fit together.
    """

    template: str | None = None
    messages: str | None = None
    system: str | None = None
    image: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        if (self.template is None) == (self.messages is None):
            raise ConfigError(
                "rows need one of template and messages.", hint='For example template="Summarise: {text}".'
            )
        if self.template is None and (self.system is not None or self.image is not None):
            raise ConfigError("system and image belong to a template.", hint="Put both into the messages.")
        if self.template is not None:
            Template(self.template)

    def check(self, columns: Iterable[str]) -> None:
        """Raise ConfigError, with the nearest name, if a dataset lacks a column."""
        columns = list(columns)
        if self.template is not None:
            self._prompt().check([*columns])
        for name in (self.messages, self.id):
            if name is not None:
                Template(f"{{{name}}}").check(columns)

    def requests(self, rows: Iterable[Mapping[str, object]]) -> list[Request | Exception]:
        """Return the request of each row, or the reason why it has none."""
        prompt = None if self.template is None else self._prompt()
        made: list[Request | Exception] = []
        for row in rows:
            try:
                made.append(self._of_messages(row) if prompt is None else prompt.request(row))
            except (RowProblem, TypeError, ValueError) as error:
                made.append(error)
        return made

    def _prompt(self) -> Prompt:
        assert self.template is not None
        return Prompt(Template(self.template), self.system, self.image, self.id)

    def _of_messages(self, row: Mapping[str, object]) -> Request:
        assert self.messages is not None
        value = row.get(self.messages)
        if isinstance(value, str) and value.lstrip().startswith("["):
            with suppress(ValueError):  # a prompt that begins with a bracket
                value = json.loads(value)
        if not isinstance(value, str):
            if not is_list(value) or not value:
                raise RowProblem(f"has no messages in {self.messages!r}")
            # Arrow gives every message the fields of all.
            value = [_without_nulls(item) for item in value]
        id = None if self.id is None else row.get(self.id)
        return Request(cast(str, value), id=None if id is None else str(id))


def _without_nulls(value: object) -> object:
    if is_mapping(value):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if is_list(value) else value
