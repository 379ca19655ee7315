"""System messages in the middle of a conversation.

A later system message does not join the system prompt, since that would change the prefix that the provider has cached.
Models that accept the role inside of a conversation get it after a user turn that the assistant answers, or at the end.
For other models, and in other positions, it becomes a user turn with a note. Its position does not change when the
conversation continues.

Source: litellm/litellm_core_utils/prompt_templates/mid_conversation_system.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

from ..json_values import JsonObject

# Source: as above.
NOTE = "Operator note (not from the user): the following was originally a mid-conversation system-role reminder."


Piece: TypeAlias = tuple[str, list[JsonObject]]
"""The role of one message (user, assistant, tool or system) and its blocks; none for a message that is not sent."""


def arrange(pieces: Sequence[Piece], *, anywhere: bool) -> list[Piece]:
    """Return the messages with system messages moved or converted to what the model accepts.

    Args:
        pieces: The messages after the system prompt; the first one is not a system message.
        anywhere: Whether the model takes system messages in the middle of a conversation.
    """
    return _anchored(pieces) if anywhere else _converted(pieces)


def _as_user(pieces: Sequence[Piece]) -> list[Piece]:
    return [("user", [{"type": "text", "text": NOTE}, *blocks]) for _, blocks in pieces if blocks]


def _converted(pieces: Sequence[Piece]) -> list[Piece]:
    """Convert all system messages to user turns, after tool results, which have to follow their calls directly."""
    runs = [(kind, list(run)) for kind, run in groupby(pieces, key=lambda piece: piece[0])]
    arranged: list[Piece] = []
    for number, (kind, run) in enumerate(runs):
        if kind != "system":
            arranged += run
        elif number + 1 == len(runs) or runs[number + 1][0] != "tool":
            arranged += _as_user(run)
        if kind == "tool" and number and runs[number - 1][0] == "system":
            arranged += _as_user(runs[number - 1][1])
    return arranged


class _Group(NamedTuple):
    """Consecutive messages that become one turn, of the user or of the assistant."""

    of_user: bool
    indexes: list[int]
    is_sent: bool


def _anchored(pieces: Sequence[Piece]) -> list[Piece]:
    """Keep system messages after the neighbouring user turn; convert those that have none."""
    groups = _groups(pieces)
    group_of = {index: number for number, group in enumerate(groups) for index in group.indexes}
    kept: dict[int, list[JsonObject]] = {}  # by the number of the group that they follow
    converted: dict[int, list[Piece]] = {}  # by the index of the message that they follow
    for run in _system_runs(pieces):
        anchor = _anchor(run, pieces, groups, group_of)
        if anchor is None:
            converted[run[0] - 1] = _as_user([pieces[index] for index in run])
        else:
            kept.setdefault(anchor, []).extend(block for index in run for block in pieces[index][1])
    arranged: list[Piece] = []
    for number, group in enumerate(groups):
        for index in group.indexes:
            arranged += [pieces[index], *converted.get(index, ())]
        if number in kept:
            arranged.append(("system", kept[number]))
    return arranged


def _groups(pieces: Sequence[Piece]) -> list[_Group]:
    others = [index for index, piece in enumerate(pieces) if piece[0] != "system"]
    groups = groupby(others, key=lambda index: pieces[index][0] != "assistant")
    listed = [(of_user, list(indexes)) for of_user, indexes in groups]
    return [_Group(of_user, indexes, any(pieces[index][1] for index in indexes)) for of_user, indexes in listed]


def _system_runs(pieces: Sequence[Piece]) -> list[list[int]]:
    numbered = groupby(range(len(pieces)), key=lambda index: pieces[index][0] == "system")
    return [list(run) for is_system, run in numbered if is_system]


def _anchor(
    run: Sequence[int], pieces: Sequence[Piece], groups: Sequence[_Group], group_of: dict[int, int]
) -> int | None:
    """Return the index of the group that a run of system messages may follow; None when there is none."""
    before, after = run[0] - 1, run[-1] + 1
    neighbour = before if pieces[before][0] != "assistant" else after
    if neighbour == len(pieces) or pieces[neighbour][0] == "assistant":
        return None
    number = group_of[neighbour]
    if not groups[number].is_sent:
        return None
    following = next((group for group in groups[number + 1 :] if group.is_sent), None)
    return number if following is None or not following.of_user else None
