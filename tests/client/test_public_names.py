"""The names that users import: which there are, and that they are there."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import asyncllm

NAMES = [
    "AsyncLLM",
    "LLM",
    "LLMConfig",
    "Message",
    "Request",
    "Text",
    "Image",
    "File",
    "ToolCall",
    "load_config",
    "load_profiles",
    "acompletion",
    "aextract",
    "agather",
    "completion",
    "extract",
    "gather",
    "Completion",
    "Chunk",
    "CompletionStream",
    "Extraction",
    "ExtractionAttempt",
    "Outcome",
    "OutcomeStream",
    "Journal",
    "JournalEntry",
    "JournalSummary",
    "Progress",
    "PartialStream",
    "ItemStream",
    "Reask",
    "SkippedItem",
    "Usage",
    "Attempt",
    "CallRecord",
    "ModelInfo",
    "Prices",
    "Stats",
    "errors",
    "frames",
    "testing",
]


def test_the_names_of_the_contract_are_public() -> None:
    """Every name that the documentation uses is there, and every error is one of them."""
    assert set(NAMES) <= set(asyncllm.__all__)
    errors = {n for n, kind in vars(asyncllm.errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    assert set(asyncllm.__all__) == set(NAMES) | errors


@pytest.mark.parametrize("name", asyncllm.__all__)
def test_every_public_name_loads(name: str) -> None:
    """A lazily loaded name is found where it is said to be, and listed."""
    assert getattr(asyncllm, name) is not None
    assert name in dir(asyncllm)


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    """The imports for type checkers name the same modules as the table that loads them."""
    tree = ast.parse(Path(asyncllm.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module]
    assert {alias.name: node.module for node in imports for alias in node.names} == asyncllm._HOMES


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails like any attribute."""
    with pytest.raises(AttributeError, match="has no attribute 'AsyncLlm'"):
        _ = asyncllm.AsyncLlm
