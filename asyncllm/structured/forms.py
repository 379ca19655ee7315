"""The form of a typed call: chosen for each endpoint that it goes to, and weaker where the endpoint refuses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast

from typing_extensions import TypeVar

from .. import telemetry
from ..completions.completion import Completion, ExtractionAttempt
from ..errors import AsyncLLMError, BadRequestError, NotFoundError, ProviderError, ServerError
from ..messages import Request
from ..models import ModelInfo
from .prompting import MODES, Mode, Prepared, prepared
from .schema.answer_type import type_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from typing_extensions import TypeForm

T = TypeVar("T", default=Any)

# Unsupported Media Type is what some gateways say of a body that they do not know.
_STATUSES = frozenset((400, 404, 415, 422, 500, 501))
# The classes of these statuses without those of a narrower meaning, as of a context window that is too small.
_CLASSES = frozenset((BadRequestError, NotFoundError, ServerError, ProviderError))
# The parameter's names, and the words of servers for it: OpenAI, Anthropic, Gemini, vLLM, llama.cpp, LM Studio, Ollama,
# OpenRouter.
_FORMAT = re.compile(
    r"(?:response|output)[_ ]?format|json[_ ]?(?:schema|mode|object)|structured[_ ]outputs?|output_config"
    r"|response_?(?:json_?)?schema|response_?mime_?type|guided_json|\bgrammar\b",
    re.IGNORECASE,
)
_TOOLS = re.compile(
    r"\btools\b|\btool[ _-]?(?:choice|use|calling)\b|\btool calls?\b|\bfunctions\b|\bfunction[ _-]?call(?:s|ing)?\b",
    re.IGNORECASE,
)
_NAMES = {"json_schema": _FORMAT, "json": _FORMAT, "tools": _TOOLS}
# Words for parts of the messages, of which a server says as well that they are wrong.
_OF_THE_MESSAGES = re.compile(
    r"\bmessages?[.\[]\d|tool_(?:calls|call_id|use_id|result)|\brole [`'\"]?tool\b", re.IGNORECASE
)
# What a server says that takes the parameter, and not this schema.
_OF_THE_SCHEMA = re.compile(
    r"(?:invalid|unsupported) (?:json )?schema|schema is (?:invalid|not valid|too)", re.IGNORECASE
)


class FormEndpoint(Protocol):
    """What of an endpoint decides the form of a typed call.

    Attributes:
        refused_modes: The modes that it has refused, `MODE`, or `MODE of TYPE` where it refused the type's schema.
    """

    refused_modes: set[str]

    @property
    def profile(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def info(self) -> ModelInfo: ...


class TypedForms(Generic[T]):
    """The forms of one typed call.

    Attributes:
        original: The request as the caller made it.

    Args:
        response_model: The type, or a JSON Schema.
        original: The request.
        mode: `auto`, or the mode that was set by hand.
    """

    def __init__(self, response_model: TypeForm[T], original: Request, mode: str) -> None:
        self.original = original
        self._response_model = response_model
        self._mode = mode
        self._form: Prepared[T] | None = None
        self._bad: tuple[Completion, str] | None = None

    @property
    def form(self) -> Prepared[T]:
        """The form of the last request."""
        assert self._form is not None
        return self._form

    @property
    def bad(self) -> ExtractionAttempt | None:
        """The answer that is asked for again."""
        return None if self._bad is None else ExtractionAttempt(*self._bad)

    def reask(self, completion: Completion, reason: str) -> None:
        """Add a bad answer to the next request, and the reason it was refused."""
        # From the first messages on: the answers before the last would only repeat themselves at a growing price.
        self._bad = completion, reason

    async def request(self, endpoint: FormEndpoint) -> Request:
        """Return the request for an endpoint.

        Raises:
            TypeError: It is no type that can be asked for, or a parameter asks for another kind of answer.
        """
        mode = self._mode
        if mode == "auto":
            mode = choose_mode(endpoint.info, endpoint.refused_modes, type_name(self._response_model))
        self._form = await prepared(self._response_model, cast(Mode, mode))
        first = self._form.request(self.original)
        return first if self._bad is None else self._form.reask(first, *self._bad)

    async def weaker(self, endpoint: FormEndpoint, error: AsyncLLMError) -> Request | None:
        """Return the request in the next weaker form where an error refuses the last one, and remember that.

        Returns:
            None where the error says something else.

        Raises:
            AsyncLLMError: The error, where the mode was set by hand.
        """
        mode = self.form.mode
        if not refuses(error, mode):
            return None
        if self._mode != "auto":
            others = ", ".join(f'"{other}"' for other in MODES if other != mode)
            error.hint = f'structured_mode = "{mode}" is not taken here; set it to "auto", or to one of {others}.'
            raise error
        refused = f"{mode} of {type_name(self._response_model)}" if _OF_THE_SCHEMA.search(error.message) else mode
        is_new = refused not in endpoint.refused_modes
        endpoint.refused_modes.add(refused)
        request = await self.request(endpoint)
        if is_new:
            telemetry.emit(
                telemetry.WARNING,
                "call.mode_refused",
                profile=endpoint.profile,
                model=endpoint.model,
                mode=mode,
                next_mode=self.form.mode,
                status_code=error.status_code if isinstance(error, ProviderError) else None,
                message=error.message,
            )
        return request


def choose_mode(info: ModelInfo, refused: Collection[str] = (), name: str = "") -> Mode:
    """Return the mode for a model: by schema where it follows one, else by a tool, else for JSON, else in words.

    Args:
        info: The model.
        refused: What its endpoint has refused, as in `FormEndpoint`.
        name: The name of the type.
    """
    able = {"json_schema": info.response_schema, "tools": info.tools is not False, "json": info.json_mode}
    for mode in MODES:
        if able.get(mode) and not (refused and (mode in refused or f"{mode} of {name}" in refused)):
            return mode
    return "md_json"


def refuses(error: AsyncLLMError, mode: str) -> bool:
    """Return whether an error refuses the parameter by which a mode asks for a type."""
    if type(error) not in _CLASSES or not isinstance(error, ProviderError) or error.status_code not in _STATUSES:
        return False
    names, said = _NAMES.get(mode), f"{error.param} {error.message}"
    return names is not None and bool(names.search(said)) and not _OF_THE_MESSAGES.search(said)
