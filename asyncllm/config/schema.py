"""The JSON Schema of config.toml, for editors."""

from __future__ import annotations

from typing import cast

from ..narrowing import is_mapping
from .describe import describe_fields
from .fields import Fields

_DIALECT = "http://json-schema.org/draft-07/schema#"  # the newest that Taplo reads
_NOT_OF_THE_SCHEMA = ("title", "default", "group", "unit", "shown", "writeOnly", "format")
# Accepted beside the form that a field is kept in.
_OTHER_FORMS: dict[str, dict[str, object]] = {
    "stop": {"type": "string", "minLength": 1},
    "safety_settings": {"type": "object", "additionalProperties": {"type": "string"}},
}


def config_schema() -> dict[str, object]:
    """Return the schema of a whole file; tables other than `[llm]` are left to the application."""
    fields = {name: _of_field(name, schema) for name, schema in _properties().items()}
    profile = {"type": "object", "properties": fields, "additionalProperties": False}
    base = {
        "type": "object",
        "description": "The base of all profiles, and itself the profile default.",
        "properties": {name: {"$ref": f"#/definitions/profile/properties/{name}"} for name in fields},
        "additionalProperties": {"$ref": "#/definitions/profile"},
    }
    return {
        "$schema": _DIALECT,
        "title": "Profiles of asyncllm",
        "type": "object",
        "properties": {"llm": base},
        "definitions": {"profile": {"description": "A profile: what it does not set, it inherits.", **profile}},
    }


def _properties() -> dict[str, object]:
    made = Fields.model_json_schema()
    return cast(dict[str, object], made["properties"])


def _of_field(name: str, schema: object) -> object:
    doc = next(doc for doc in describe_fields() if doc.name == name)
    default = f"{doc.default} {doc.unit}".strip() if doc.default[:1].isdigit() else doc.default
    described: dict[str, object] = {"description": f"{doc.description} Default: {default}."}
    accepted = _accepted(schema)
    if name in _OTHER_FORMS:
        return {**described, "anyOf": [_OTHER_FORMS[name], accepted]}
    return {**described, **accepted}


def _accepted(schema: object) -> dict[str, object]:
    """Return the schema of a value that may be in a file: null is none."""
    if not is_mapping(schema):
        return {}
    kept = {str(key): value for key, value in schema.items() if key not in (*_NOT_OF_THE_SCHEMA, "description")}
    kept.pop("$ref", None)  # pydantic's name for any JSON
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = _accepted(kept[key])
    options = cast(list[object], kept.pop("anyOf", []))
    accepted = [_accepted(option) for option in options if option != {"type": "null"}]
    return {**kept, **accepted[0]} if len(accepted) == 1 else {**kept, **({"anyOf": accepted} if accepted else {})}
