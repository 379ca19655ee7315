"""The type of a request's messages, which pydantic checks."""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    Required,  # pydantic takes that of typing from Python 3.12 on
)

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from ..messages import Role, to_dicts


class ChatMessage(TypedDict, total=False):
    """A message of chat completions; members that are not named here are kept."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    role: Required[Role]
    content: str | list[dict[str, Any]] | None


def _checked(messages: list[ChatMessage]) -> list[ChatMessage]:
    to_dicts(messages)  # for a message with neither content nor tool calls
    return messages


ChatMessages = Annotated[list[ChatMessage], Field(min_length=1), AfterValidator(_checked)]
"""Messages in the body of a request, as the field of a pydantic model: FastAPI answers others with its 422."""
