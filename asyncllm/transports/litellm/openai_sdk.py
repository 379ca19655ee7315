"""OpenAI's SDK as litellm is handed it, without warnings of answers whose values have other types than they should.

litellm dumps the SDK's models, which are built without validation, and pydantic then warns on stderr of what an unusual
server sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import openai
from openai.types import Completion, CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import Choice, ChoiceDelta


class _Quiet(openai.BaseModel):
    def model_dump(self, **options: Any) -> dict[str, Any]:
        options.setdefault("warnings", False)
        return super().model_dump(**options)


class _Delta(_Quiet, ChoiceDelta):
    pass


class _Choice(_Quiet, Choice):
    delta: _Delta  # pyright: ignore[reportIncompatibleVariableOverride]


class _Usage(_Quiet, CompletionUsage):
    pass


class _Chunk(_Quiet, ChatCompletionChunk):
    choices: list[_Choice]  # type: ignore[assignment]  # no other kind is appended
    usage: _Usage | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class _ChatCompletion(_Quiet, ChatCompletion):
    def model_dump(self, **options: Any) -> dict[str, Any]:
        data = super().model_dump(**options)
        for name in ("id", "model"):  # which litellm puts into a model of its own, and dumps that one too
            if not isinstance(data.get(name), str | None):
                data[name] = str(data[name])
        return data


class _TextCompletion(_Quiet, Completion):
    pass


_QUIET: Mapping[object, Any] = {
    ChatCompletion: _ChatCompletion,
    Completion: _TextCompletion,
    openai.AsyncStream[ChatCompletionChunk]: openai.AsyncStream[_Chunk],
    openai.AsyncStream[Completion]: openai.AsyncStream[_TextCompletion],
}


class QuietOpenAI(openai.AsyncOpenAI):
    """The SDK's client of an endpoint of OpenAI's format."""

    async def request(self, cast_to: Any, options: Any, *, stream: bool = False, stream_cls: Any = None) -> Any:
        """Send a request; its answer dumps without warnings."""
        return await super().request(
            _QUIET.get(cast_to, cast_to), options, stream=stream, stream_cls=_QUIET.get(stream_cls, stream_cls)
        )


class QuietAzureOpenAI(QuietOpenAI, openai.AsyncAzureOpenAI):
    """The SDK's client of a resource at Azure."""
