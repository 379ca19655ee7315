"""The signatures of thoughts, which have to come back with the calls and texts that they came with.

A call carries its signature in its id, as litellm has it, so that it survives where only the chat-completions fields of
a call are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..json_values import is_list, is_mapping

# Source: litellm's prompt templates, THOUGHT_SIGNATURE_SEPARATOR.
_SEPARATOR = "__thought__"
PLACEHOLDER = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Stands for the signature of a call that another model made: "skip_thought_signature_validator" in base64.

Source: Google's guide to thought signatures.
"""


def signed_id(id: str, signature: str) -> str:
    """Return the id of a call with its signature."""
    return f"{id}{_SEPARATOR}{signature}"


def plain_id(id: object) -> str:
    """Return the id of a call without its signature; empty where it has none."""
    return id.partition(_SEPARATOR)[0] if isinstance(id, str) else ""


def signature_of(call: Mapping[str, object]) -> str | None:
    """Return the signature of a tool call: from its fields, those of its function, or its id."""
    for carrier in (call, call.get("function")):
        fields = carrier.get("provider_specific_fields") if is_mapping(carrier) else None
        signature = fields.get("thought_signature") if is_mapping(fields) else None
        if isinstance(signature, str) and signature:
            return signature
    id = call.get("id")
    return id.partition(_SEPARATOR)[2] or None if isinstance(id, str) else None


def text_signature(fields: object, calls: object) -> str | None:
    """Return the signature of a message's text; None where it is that of a call, since it is charged for each copy.

    Args:
        fields: The `provider_specific_fields` of the message.
        calls: Its tool calls.
    """
    signatures = fields.get("thought_signatures") if is_mapping(fields) else None
    first = signatures[0] if is_list(signatures) and signatures else None
    if not isinstance(first, str) or not first:
        return None
    of_calls = [signature_of(call) for call in calls if is_mapping(call)] if is_list(calls) else []
    return None if first in of_calls else first
