"""Requests of one profile by wire, in its provider's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol, cast

from asyncllm.errors import UnsupportedError
from asyncllm.models import resolve_provider

from ..base import Connection
from .formats.format import FormatRequest, Unserved, WireFormat
from .rules.parameter_rules import report_dropped

_OPENAI = "openai_requests"
# The module in `formats` that serves a provider; the others speak OpenAI's format, or are litellm's.
_FORMATS: Mapping[str, str] = {"anthropic": "anthropic", "gemini": "gemini"}


class WireRequests:
    """Makes the requests of a model, and reports what they drop.

    Args:
        connection: The provider, address and key.
        model: The model as litellm names it.
        drop_params: Drop parameters that the model does not know, rather than refuse them.

    Attributes:
        format: The model's format; None when litellm serves all of its requests.
    """

    __slots__ = ("_drop", "_model", "_reported", "_unserved", "format")

    def __init__(self, connection: Connection, model: str, *, drop_params: bool = True) -> None:
        self._model = resolve_provider(model, connection.provider, connection.options.get("base_url")).name
        self._drop = drop_params
        self._reported: set[tuple[str, ...]] = set()
        found = _module(connection.provider).open_format(connection, self._model)
        self._unserved = found if isinstance(found, Unserved) else Unserved("")
        self.format = None if isinstance(found, Unserved) else found

    def make(
        self, messages: Sequence[Mapping[str, object]], params: Mapping[str, object], *, stream: bool
    ) -> FormatRequest | Unserved:
        """Return a request, or the reason why litellm has to serve it.

        Args:
            messages: Chat-completions messages, in order.
            params: Chat-completions parameters, without nulls.
            stream: Whether to stream the answer.

        Raises:
            UnsupportedError: The model does not take a parameter, and `drop_params` is off.
        """
        if self.format is None:
            return self._unserved
        made = self.format.request(messages, params, stream=stream)
        if not isinstance(made, Unserved) and made.dropped:
            self._report(made.dropped)
        return made

    def _report(self, dropped: tuple[str, ...]) -> None:
        names = ", ".join(dropped)
        if not self._drop:
            raise UnsupportedError(
                f"{self._model} does not take {names}, and drop_params is off.",
                hint="Leave the parameter out, or set drop_params = true.",
            )
        report_dropped(self._model, names, again=dropped in self._reported)
        self._reported.add(dropped)


class _FormatModule(Protocol):
    def open_format(self, connection: Connection, model: str) -> WireFormat | Unserved: ...


def _module(provider: str) -> _FormatModule:
    """Import the format of a provider; the others' would make the first call wait."""
    return cast("_FormatModule", import_module(f"{__package__}.formats.{_FORMATS.get(provider, _OPENAI)}"))
