"""The endpoints of files and batches, by their paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from .anthropic_batches import AnthropicBatches
from .behaviour import BatchSimulation
from .files import BatchFiles
from .gemini_batches import GeminiBatches
from .mistral_batches import MistralBatches
from .openai_batches import OpenAIBatches
from .requests import BatchCall, BatchReply

# OpenAI's SDK and servers of their own prefix, Azure's two forms.
_OPENAI = re.compile(r"(/v1|/openai/v1|/openai|)(/batches(?:/.*)?)")
_FILES = re.compile(r"(/v1|/openai/v1|/openai|)(/files(?:/.*)?)")  # OpenAI's, and Mistral's
_MISTRAL = re.compile(r"(/v1)(/batch/jobs(?:/.*)?)")
# Files go to an address beside the API, before its version.
_GEMINI = re.compile(
    r"((?:/upload|/download)/v1(?:beta|alpha)?|/v1(?:beta|alpha))"
    r"(/(?:files|batches)(?:[/:].*)?|/models/[^:/]+:batchGenerateContent)"
)
_ANTHROPIC = re.compile(r"(/v1)(/messages/batches(?:/.*)?)")


class _Batches(Protocol):
    def answer(self, call: BatchCall) -> BatchReply | None: ...


class BatchEndpoints:
    """Answers requests about files and batches."""

    def __init__(self, behaviour: BatchSimulation) -> None:
        files = BatchFiles(behaviour)
        self._served: tuple[tuple[re.Pattern[str], _Batches], ...] = (
            (_ANTHROPIC, AnthropicBatches(behaviour)),
            (_GEMINI, GeminiBatches(behaviour)),
            (_OPENAI, OpenAIBatches(behaviour, files)),
            (_MISTRAL, MistralBatches(behaviour, files)),
            (_FILES, files),
        )

    def serves(self, path: str) -> bool:
        """Return whether a path is one of theirs."""
        return any(pattern.fullmatch(path) for pattern, _ in self._served)

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> BatchReply | None:
        """Answer a request."""
        root = f"http://{headers.get('Host', '127.0.0.1')}"
        for pattern, batches in self._served:
            found = pattern.fullmatch(path)
            if found is not None:
                return batches.answer(BatchCall(method, found[2], query, headers, body, found[1], root))
        return None
