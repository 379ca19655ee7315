"""Mistakes in the values of a profile, and their messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError, nearest
from .fields import HIDDEN, Fields, choices, field_note
from .provenance import Origin

EXAMPLE_MODEL = "openai/gpt-5-mini"  # shown in messages as the form of a model name

_LONGEST_SHOWN = 20  # characters of an invalid value; a longer one may be a misplaced key
_UNITS = {
    "": "",
    "bytes": " of bytes",
    "days": " of days",
    "s": " of seconds",
    "tokens": " of tokens",
    "USD": " of US dollars",
}
# Names of these fields in litellm, the openai SDK and OpenHands, where the nearest spelling would be another field.
_OTHER_NAMES = {
    "api_base": "base_url",
    "custom_provider": "custom_llm_provider",
    "headers": "extra_headers",
    "max_completion_tokens": "max_output_tokens",
    "max_retries": "num_retries",
    "max_tokens": "max_output_tokens",
    "provider": "custom_llm_provider",
    "rpm": "requests_per_minute",
    "tpm": "tokens_per_minute",
}
_WAITS = ("retry_min_wait", "retry_max_wait")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in the configuration.

    Attributes:
        where: Its location: file, table and key, or the variable, or the argument.
        problem: What is wrong, with the remedy where there is one.
        key: The field's name as written; empty when the mistake is not about a field.
    """

    where: str
    problem: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.where} {self.problem}{'' if self.problem.endswith('?') else '.'}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake in one key, before its location is known."""

    key: str
    text: str

    def at(self, origin: Origin) -> Mistake:
        """Return the mistake, located at an origin."""
        return Mistake(origin.locate(self.key), self.text, self.key)


def config_error(mistakes: Iterable[Mistake]) -> ConfigError:
    """Return one error that lists every mistake once."""
    lines = list(dict.fromkeys(map(str, mistakes)))
    if len(lines) == 1:
        return ConfigError(lines[0])
    numbered = "\n".join(f"  {number}. {line}" for number, line in enumerate(lines, start=1))
    return ConfigError(f"{len(lines)} mistakes in the configuration:\n{numbered}")


def check_values(values: Mapping[str, object]) -> list[Problem]:
    """Return unknown keys, wrong types and impossible values, each key checked on its own.

    A missing model is not a mistake here: another source may set it.
    """
    try:
        Fields.model_validate({"model": "any/model", **values})
    except ValidationError as error:
        return problems_of(error, values)
    return []


def problems_of(error: ValidationError, values: Mapping[str, object]) -> list[Problem]:
    """Translate pydantic's errors into plain messages, one for each key."""
    found: dict[str, Problem] = {}
    for details in error.errors(include_url=False, include_context=True):
        key = str(details["loc"][0]) if details["loc"] else "profile"
        found.setdefault(key, Problem(key, _sentence(key, details, values.get(key))))
    # In the order of the file.
    order = list(values)
    return sorted(found.values(), key=lambda problem: order.index(problem.key) if problem.key in order else -1)


def contradictions(values: Mapping[str, object]) -> list[Problem]:
    """Return values that are valid alone and contradict each other; defaults count where nothing is set."""
    problems: list[Problem] = []
    if {"api_key", "api_key_env"} <= values.keys():
        problems.append(Problem("api_key_env", "is set together with api_key: keep one of them"))
    shortest, longest = (_number(values.get(key, Fields.model_fields[key].default)) for key in _WAITS)
    if shortest > longest:
        key, other = _WAITS if "retry_min_wait" in values else reversed(_WAITS)
        shown = {"retry_min_wait": f"{shortest:g} s", "retry_max_wait": f"{longest:g} s"}
        relation = "longer" if key == "retry_min_wait" else "shorter"
        default = "" if other in values else ", the default"
        problems.append(Problem(key, f"is {shown[key]}, {relation} than {other} ({shown[other]}{default})"))
    return problems


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _sentence(key: str, details: ErrorDetails, value: object) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        meant = _OTHER_NAMES.get(key) or nearest(key, Fields.model_fields)
        return f"is not a known key; did you mean {meant}?" if meant else "is not a known key"
    if kind == "missing":
        return f'is missing: set it, for example model = "{EXAMPLE_MODEL}"'
    if kind == "value_error":
        return str(context["error"])
    inside = " ".join(str(part + 1 if isinstance(part, int) else part) for part in details["loc"][1:])
    prefix = f"(entry {inside}) " if inside else ""
    wanted = _wanted(key, kind, context)
    return f"{prefix}must be {wanted}{_shown(key, value, bool(inside))}" if wanted else f"{prefix}{details['msg']}"


def _wanted(key: str, kind: str, context: Mapping[str, object]) -> str | None:
    match kind:
        case "int_type" | "int_from_float":
            return f"a whole number{_UNITS[field_note(key, 'unit')]}"
        case "float_type":
            return f"a number{_UNITS[field_note(key, 'unit')]}"
        case "finite_number":
            return "a finite number"
        case "bool_type":
            return "true or false"
        case "string_type" if key == "fallbacks":
            return "the name of a profile, whose table sets the model and all else"
        case "string_type":
            return "a string"
        case "string_too_short":
            return "a non-empty string"
        case "tuple_type":
            return "a list of strings"
        case "dict_type" | "mapping_type":
            return "a table"
        case "greater_than":
            return f"greater than {context['gt']:g}"
        case "greater_than_equal":
            return f"{context['ge']:g} or more"
        case "less_than_equal":
            return f"{context['le']:g} or less"
        case "literal_error":
            return f"one of {', '.join(choices(key))}"
        case _:
            return None


def _shown(key: str, value: object, is_inside: bool) -> str:
    # A table or a list may hold anything, a misplaced key included.
    if key in HIDDEN or is_inside or value == "" or not isinstance(value, str | int | float):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > _LONGEST_SHOWN:
        return ""
    meant = nearest(text, choices(key))
    quoted = f'"{text}"' if isinstance(value, str) else text
    return f", not {quoted}; did you mean {meant}?" if meant else f", not {quoted}"
