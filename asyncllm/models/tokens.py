"""Token counts of prompts: exact where the tokenizer is on the machine, else estimated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ..narrowing import is_list, is_mapping, mapping_or_empty
from . import tokenizers
from .token_estimates import estimate_text

Prompt = str | Sequence[Mapping[str, object]]
"""A text, or messages as chat-completions dicts."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """The length of a prompt.

    Attributes:
        tokens: The number of tokens; 0 only for an empty prompt.
        exact: Whether all of them were counted with the model's own tokenizer, and none estimated.
    """

    tokens: int
    exact: bool


def count_tokens(
    prompt: Prompt,
    model: str,
    *,
    custom_tokenizer: str | None = None,
    tools: Sequence[Mapping[str, object]] | None = None,
) -> TokenCount:
    """Count the tokens of a prompt, without downloading anything.

    Prompts for OpenAI's models are counted with their own tokenizers, which litellm packages; all others are estimated,
    unless `custom_tokenizer` names a tokenizer. Images, audio, files and tools are always estimated.

    The first exact count takes about 0.5 s, and for 0.17 s of it no other thread of the process runs: where that
    matters, count once before the work starts, or see `counts_at_once`. Later counts take 0.1 ms for a kilobyte.

    Args:
        prompt: A text, counted as it is; or messages, counted with the tokens that frame them.
        model: The model's name, with or without the provider's prefix.
        custom_tokenizer: One of OpenAI's encodings, the path of a `tokenizer.json`, or the id of a Hugging Face model
            in the local cache.
        tools: The tools sent with the messages.

    Raises:
        ConfigError: `custom_tokenizer` is not on this machine.
    """
    counter = tokenizers.custom_counter(custom_tokenizer) if custom_tokenizer else _counter_of(model)
    if counter is None:
        return TokenCount(estimate_tokens(prompt, tools), exact=False)
    load = _weigh(prompt, tools)
    tokens = load.fixed + sum(map(counter, load.texts))
    # The frame of messages is known for OpenAI's models only.
    framed_exactly = isinstance(prompt, str) or not custom_tokenizer
    return TokenCount(max(tokens, load.least), exact=load.plain and framed_exactly)


def counts_at_once(model: str) -> bool:
    """Return whether `count_tokens` for a model loads nothing: its tokenizer is loaded, or it has none."""
    encoding = _encoding_of(model)
    return encoding is None or tokenizers.is_loaded(encoding)


def estimate_tokens(prompt: Prompt, tools: Sequence[Mapping[str, object]] | None = None) -> int:
    """Estimate the tokens of a prompt, more often too high than too low. It takes microseconds, and imports nothing.

    Args:
        prompt: A text, or messages as chat-completions dicts.
        tools: The tools sent with the messages.
    """
    if isinstance(prompt, str) and not tools:
        return estimate_text(prompt)
    load = _weigh(prompt, tools)
    return max(load.fixed + sum(map(estimate_text, load.texts)), load.least)


@dataclass(slots=True)
class _Load:
    """The contents of a prompt: texts to count, and tokens for everything else."""

    texts: list[str] = field(default_factory=list)
    fixed: int = 0
    plain: bool = True

    @property
    def least(self) -> int:
        return int(any(self.texts))

    def estimated(self, tokens: int) -> None:
        self.fixed += tokens
        self.plain = False


def _counter_of(model: str) -> tokenizers.Counter | None:
    encoding = _encoding_of(model)
    return tokenizers.openai_counter(encoding) if encoding is not None else None


@lru_cache(maxsize=512)  # One for each model that a process uses.
def _encoding_of(model: str) -> str | None:
    # A router's name of a model ends with OpenAI's: openrouter/openai/gpt-5-mini.
    name = model.rpartition("/")[2]
    # Only a name that may be OpenAI's is worth importing tiktoken.
    return tokenizers.openai_encoding(name) if name.startswith(_OPENAI_NAMES) else None


def _weigh(prompt: Prompt, tools: Sequence[Mapping[str, object]] | None) -> _Load:
    load = _Load()
    if isinstance(prompt, str):
        load.texts.append(prompt)
    else:
        load.fixed += _REPLY
        for message in prompt:
            _weigh_message(message, load)
    for tool in tools or ():
        load.texts.append(_compact(tool.get("function", tool)))
        load.estimated(_TOOL)
    return load


def _weigh_message(message: Mapping[str, object], load: _Load) -> None:
    load.fixed += _MESSAGE
    for key, value in message.items():
        if isinstance(value, str):
            load.texts.append(value)
            load.fixed += _NAME if key == "name" else 0
        elif key == "content" and is_list(value):
            for part in value:
                _weigh_part(part, load)
        elif key == "tool_calls" and is_list(value):
            for call in map(mapping_or_empty, value):
                function = mapping_or_empty(call.get("function", call))
                load.texts += [_text(function.get("name") or ""), _text(function.get("arguments"))]
                load.estimated(_TOOL)
        elif value is not None and key != "cache_control":
            load.texts.append(_compact(value))
            load.plain = False


def _weigh_part(part: object, load: _Load) -> None:
    if not is_mapping(part):
        load.texts.append(_text(part))
        return
    kind, text = part.get("type"), part.get("text")
    if isinstance(text, str):
        load.texts.append(text)
    elif kind in ("image_url", "image", "input_image"):
        image = part.get("image_url")
        detail = image.get("detail") if is_mapping(image) else part.get("detail")
        load.estimated(_IMAGE_LOW if detail == "low" else _IMAGE)
    elif kind == "input_audio":
        load.estimated(max(1, _decoded_bytes(part.get("input_audio"), "data") // _AUDIO_BYTES))
    elif kind in ("file", "document"):
        load.estimated(max(_PAGE, _decoded_bytes(part.get("file"), "file_data") // _PAGE_BYTES * _PAGE))
    else:
        load.texts.append(_compact(part))
        load.plain = False


def _decoded_bytes(holder: object, key: str) -> int:
    data = mapping_or_empty(holder).get(key)
    # Four characters of base64 are three bytes.
    return len(data) * 3 // 4 if isinstance(data, str) else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else _compact(value)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


# Prefixes of the names of OpenAI's models, fine-tuned (`ft:`) and older ones included.
_OPENAI_NAMES = ("gpt-", "o1", "o3", "o4", "chatgpt-", "ft:", "text-", "davinci", "babbage", "curie", "ada", "code-")

# Tokens that frame a chat: of each message, of a name in it, and of the start of the answer.
# Source: OpenAI cookbook, "How to count tokens with tiktoken", num_tokens_from_messages.
_MESSAGE = 3
_NAME = 1
_REPLY = 3

# Tokens that frame the declaration or the call of a tool: 7 to start, 3 to end. Source: the same, num_tokens_for_tools.
_TOOL = 10

# An image of unknown size, at the upper end: OpenAI's tiles of a tall picture take 1,445, Anthropic's largest 1,568.
# With detail "low" OpenAI takes 85. Source: the providers' guides to images and vision.
_IMAGE = 1_600
_IMAGE_LOW = 85

# Gemini takes 32 tokens for a second of sound, OpenAI 10; MP3 at 128 kbit/s holds 16,000 bytes of it.
# Source: Gemini API, "Understand and count tokens".
_AUDIO_BYTES = 16_000 // 32

# A page of PDF takes 1,500 to 3,000 tokens as text and as much again as a picture; one with text alone holds some
# 50 KB. Source: Anthropic, "PDF support".
_PAGE = 3_000
_PAGE_BYTES = 50_000
