"""Prompts with a field in braces for each column of a row: `"Translate {text} into {language}"`."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Mapping

from ..errors import ConfigError, nearest
from ..narrowing import is_mapping, list_or_empty

_BRACES = "{field} stands for a field; write {{ and }} for braces of the prompt itself."


class RowProblem(Exception):
    """A row cannot be used; the message continues `line 7: `."""


class MissingField(RowProblem):
    """A row lacks a field."""

    def __init__(self, field: str) -> None:
        super().__init__(f"has no field {field!r}")
        self.field = field


class Template:
    """A prompt with fields in braces; `{a.b}` reaches into an object, `{a.0}` into a list.

    Raises:
        ConfigError: It is not valid.
    """

    def __init__(self, text: str) -> None:
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ConfigError(f"the template is not right: {error}.", hint=_BRACES) from None
        self.text = text
        self._parts = [(literal, field) for literal, field, _, _ in parts]
        if any(spec or conversion for _, _, spec, conversion in parts) or any(field == "" for _, field in self._parts):
            raise ConfigError("the template has braces that do not hold the name of a field.", hint=_BRACES)
        self.fields = tuple(dict.fromkeys(field for _, field in self._parts if field is not None))
        if not self.fields:
            raise ConfigError("the template names no field, so that every row would ask the same.", hint=_BRACES)

    def render(self, row: Mapping[str, object]) -> str:
        """Return the text with the fields of a row; null is empty.

        Raises:
            MissingField: The row lacks one.
        """
        return "".join(literal + ("" if field is None else _text(_value(row, field))) for literal, field in self._parts)

    def check(self, names: Iterable[str], row: Mapping[str, object] | None = None) -> None:
        """Raise ConfigError, with the nearest name, if the input lacks a field of the template.

        Args:
            names: The fields of the input.
            row: Its first row, for fields inside of fields.
        """
        known = list(names)
        sample: Mapping[str, object] = row if row is not None else dict.fromkeys(known)
        for field in self.fields:
            try:
                _value(sample, field)
            except MissingField:
                near = nearest(field, known)
                meant = f" Did you mean {{{near}}}?" if near else ""
                have = ", ".join(known) or "none"
                raise ConfigError(
                    f"the template asks for {{{field}}}, which the input does not have.{meant}",
                    hint=f"Its fields are: {have}.",
                ) from None


def _value(row: Mapping[str, object], field: str) -> object:
    """Return a field, found by its whole name, or step by step at its dots."""
    if field in row:
        return row[field]
    value: object = row
    for step in field.split("."):
        items = list_or_empty(value)
        if is_mapping(value) and step in value:
            value = value[step]
        elif step.isdecimal() and int(step) < len(items):
            value = items[int(step)]
        else:
            raise MissingField(field)
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    # Dates and the like, which Parquet has and JSON lacks, are texts.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, _JSON) else str(value)


_JSON = (bool, int, float, list, tuple, dict)
