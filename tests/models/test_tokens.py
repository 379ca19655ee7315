"""Token counts and estimates of prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from asyncllm.errors import ConfigError
from asyncllm.models import TokenCount, count_tokens, counts_at_once, estimate_tokens, tokenizers
from asyncllm.models.token_estimates import estimate_text
from tests.models.texts import LANGUAGES, MACHINE

# The example of the OpenAI cookbook, "How to count tokens with tiktoken", with the counts that the API charged.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
        "English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("openrouter/openai/gpt-4o", 124)])
def test_a_chat_with_openai_counts_as_the_api_charged_it(model: str, tokens: int):
    """The counts of OpenAI's published example are exact, for two vocabularies."""
    assert count_tokens(COOKBOOK, model) == TokenCount(tokens, exact=True)


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base", "p50k_base"])
def test_an_encoding_is_tiktokens(monkeypatch: pytest.MonkeyPatch, encoding: str):
    """Each encoding, loaded from its file, counts as tiktoken does."""
    import tiktoken

    path = tokenizers._openai_file(encoding)
    count = tokenizers.openai_counter(encoding)
    assert path is not None
    assert count is not None
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(path.parent))
    theirs = tiktoken.get_encoding(encoding)
    for text in (*LANGUAGES.values(), *MACHINE.values(), "\r\n \t x\n\n\n  'LL don't I'VE", "<|endoftext|>"):
        assert count(text) == len(theirs.encode_ordinary(text))


@pytest.mark.parametrize(("name", "text"), {**LANGUAGES, **MACHINE}.items())
def test_an_estimate_is_near_the_truth(name: str, text: str):
    """For every script and kind of text the estimate is 0.9 to 1.75 times the count."""
    truth = count_tokens(text, "gpt-4o").tokens
    assert 0.9 <= estimate_text(text) / truth <= 1.75, name


@given(st.text(min_size=1))
def test_a_text_has_tokens(text: str):
    """A non-empty text has at least one token."""
    assert estimate_tokens(text) >= 1
    assert count_tokens(text, "gpt-4o").tokens >= 1


def test_an_empty_text_has_no_tokens():
    """The empty text has 0 tokens."""
    assert (estimate_tokens(""), count_tokens("", "gpt-4o")) == (0, TokenCount(0, exact=True))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_half_a_character_is_counted(text: str):
    """A lone surrogate, which JSON may contain, is counted."""
    assert estimate_tokens(text) >= 1
    assert count_tokens(text, "gpt-4o").tokens >= 1


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro", "simulated/x", "davinci"])
def test_a_model_without_a_tokenizer_here_is_estimated(model: str):
    """Without a tokenizer the count is an estimate, and marked as one."""
    assert count_tokens("Hello, world!", model) == TokenCount(estimate_tokens("Hello, world!"), exact=False)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "A" * 100_000, "format": "mp3"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "something_new", "value": 1},
    ],
)
def test_what_is_not_text_makes_an_estimate(part: dict[str, Any]):
    """An image, audio or a file adds estimated tokens."""
    text = {"type": "text", "text": "What is this?"}
    plain = count_tokens([{"role": "user", "content": [text]}], "gpt-4o")
    mixed = count_tokens([{"role": "user", "content": [text, part]}], "gpt-4o")
    assert plain.exact
    assert not mixed.exact
    assert mixed.tokens > plain.tokens


def test_an_image_in_low_detail_is_cheaper():
    """An image in low detail has fewer tokens."""

    def tokens(detail: str) -> int:
        image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}
        return estimate_tokens([{"role": "user", "content": [image]}])

    assert tokens("high") - tokens("low") == 1_600 - 85


def test_the_bytes_of_an_image_are_not_text():
    """A data URL counts as one image, however long it is."""
    url = "data:image/png;base64," + "A" * 1_000_000
    assert estimate_tokens([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]) < 2_000


def test_tools_and_their_calls_count():
    """Declared tools, calls and results add estimated tokens."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    asked: list[dict[str, Any]] = [{"role": "user", "content": "Weather?"}]
    called: list[dict[str, Any]] = [*asked, {"role": "assistant", "content": None, "tool_calls": [call]}]
    counts = [count_tokens(messages, "gpt-4o") for messages in (asked, called)]
    with_tool = count_tokens(asked, "gpt-4o", tools=[tool])
    assert counts[0].tokens < counts[1].tokens
    assert counts[0].tokens < with_tool.tokens
    assert [counts[0].exact, counts[1].exact, with_tool.exact] == [True, False, False]


def test_cache_control_takes_no_tokens():
    """A cache mark has no tokens."""
    marked = [{"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral"}}]
    assert count_tokens(marked, "gpt-4o") == count_tokens([{"role": "user", "content": "Hi"}], "gpt-4o")


@pytest.fixture
def word_tokenizer(tmp_path: Path) -> Path:
    """Return a tokenizer.json that counts words."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("form", [str, lambda path: str(path.parent)])
def test_a_tokenizer_of_ones_own_counts(word_tokenizer: Path, form: Callable[[Path], str]):
    """The path of a tokenizer.json, or of its folder, works for any model."""
    counted = count_tokens("one two three", "ollama/llama3", custom_tokenizer=form(word_tokenizer))
    assert counted == TokenCount(3, exact=True)


def test_the_frame_of_a_chat_with_ones_own_tokenizer_is_estimated(word_tokenizer: Path):
    """The frame of messages is an estimate for models other than OpenAI's."""
    counted = count_tokens([{"role": "user", "content": "one two"}], "x/y", custom_tokenizer=str(word_tokenizer))
    assert not counted.exact


def test_an_encoding_can_be_named():
    """One of OpenAI's encodings works for any model."""
    assert count_tokens("Hello, world!", "x/y", custom_tokenizer="o200k_base") == TokenCount(4, exact=True)


def test_a_tokenizer_of_the_local_cache_is_found(word_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The id of a Hugging Face model is looked up in the local cache."""
    import huggingface_hub

    def cached(repo: str, name: str) -> str:
        assert (repo, name) == ("org/model", "tokenizer.json")
        return str(word_tokenizer)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    tokenizers.custom_counter.cache_clear()
    assert count_tokens("one two", "x/y", custom_tokenizer="org/model").tokens == 2
    tokenizers.custom_counter.cache_clear()


@pytest.mark.parametrize("name", ["org/not-here", "no/such/path/tokenizer.json", "plain"])
def test_a_tokenizer_that_is_not_here_is_not_downloaded(name: str):
    """A tokenizer that is not on this machine is an error with the remedy; nothing is downloaded."""
    with pytest.raises(ConfigError, match="downloads nothing"):
        count_tokens("Hi", "x/y", custom_tokenizer=name)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path):
    """An invalid tokenizer.json is reported with its path."""
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read as a tokenizer"):
        count_tokens("Hi", "x/y", custom_tokenizer=str(path))


def test_whether_a_count_is_immediate_can_be_asked():
    """Estimated models load nothing; OpenAI's are loaded after the first count."""
    count_tokens("Hi", "gpt-4o")
    assert counts_at_once("gpt-4o")
    assert counts_at_once("anthropic/claude-sonnet-4-5")
