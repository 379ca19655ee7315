"""Tokenizers on this machine, read from files; nothing here uses the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from ..errors import ConfigError
from . import catalog

Counter = Callable[[str], int]
"""Counts the tokens of a text."""


def openai_counter(encoding: str) -> Counter | None:
    """Return the counter of one of OpenAI's encodings; None when its file is not on this machine.

    The first call for an encoding takes about 0.4 s, and for 0.17 s of it no other thread of the process runs.
    """
    path = _openai_file(encoding)
    return None if path is None else _load_openai(encoding, path)


def openai_encoding(model: str) -> str | None:
    """Return the encoding of one of OpenAI's models; None for another model, or when its file is not on this machine.

    The first call imports tiktoken (35 ms).
    """
    from tiktoken.model import encoding_name_for_model

    try:
        encoding = encoding_name_for_model(model)
    except KeyError:
        return None
    # Harmony only adds control tokens, which no text is encoded to.
    encoding = "o200k_base" if encoding == "o200k_harmony" else encoding
    return encoding if _openai_file(encoding) is not None else None


def is_loaded(encoding: str) -> bool:
    """Return whether an encoding is loaded, so that the next count is immediate."""
    return encoding in _LOADED


@lru_cache(maxsize=4)  # A process uses one or two; each takes tens of megabytes.
def custom_counter(name: str) -> Counter:
    """Return the counter of a tokenizer of the user's.

    Args:
        name: One of OpenAI's encodings (`o200k_base`), the path of a `tokenizer.json` or of the folder that holds one,
            or the id of a Hugging Face model whose tokenizer is in the local cache.

    Raises:
        ConfigError: The tokenizer is not on this machine.
    """
    if name in _PATTERNS:
        counter = openai_counter(name)
        if counter is not None:
            return counter
    path = _tokenizer_json(name)
    if path is None:
        raise ConfigError(
            f"The tokenizer {name!r} is not on this machine, and asyncllm downloads nothing.",
            hint="Set custom_tokenizer to the path of a tokenizer.json, or download it once: "
            f"`hf download {name} tokenizer.json`.",
        )
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises bare Exceptions.
        raise ConfigError(f"custom_tokenizer: {path} cannot be read as a tokenizer: {error}") from None
    # Truncation and padding are a model's limits, not properties of the text.
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        # The library refuses a lone surrogate, which JSON may contain.
        whole = text.encode("utf-8", "replace").decode()
        return len(tokenizer.encode(whole, add_special_tokens=False).ids)

    return count


@lru_cache(maxsize=4)  # One for each encoding.
def _load_openai(encoding: str, path: Path) -> Counter:
    from tiktoken import Encoding

    # tiktoken's own loader would download a file that is not in its cache.
    lines = path.read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    tokenizer = Encoding(encoding, pat_str=_PATTERNS[encoding], mergeable_ranks=ranks, special_tokens={})
    _LOADED.add(encoding)
    return lambda text: len(tokenizer.encode_ordinary(text))


@lru_cache(maxsize=8)
def _openai_file(encoding: str) -> Path | None:
    if encoding not in _PATTERNS:
        return None
    # litellm packages a cache of tiktoken's, whose files are named by a hash of their URL.
    name = hashlib.sha1(f"{_URL}/{encoding}.tiktoken".encode(), usedforsecurity=False).hexdigest()
    return catalog.package_file("litellm_core_utils", "tokenizers", name)


def _tokenizer_json(name: str) -> Path | None:
    path = Path(name).expanduser()
    for candidate in (path, path / "tokenizer.json"):
        if candidate.is_file():
            return candidate
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, "tokenizer.json")
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


_LOADED: set[str] = set()

_URL = "https://openaipublic.blob.core.windows.net/encodings"

_GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

# The pattern by which each encoding splits a text into words. Source: tiktoken_ext/openai_public.py.
_PATTERNS = {
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
    r"|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "p50k_base": _GPT2_PATTERN,
}
