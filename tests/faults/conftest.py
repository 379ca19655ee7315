"""Fixtures of the tests of faults: the libraries imported once, and their logs silenced."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.support.clients import libraries_imported, pytest_configure

__all__ = ["libraries_imported", "pytest_configure"]


@pytest.fixture(scope="module", autouse=True)
def quiet_libraries() -> Iterator[None]:
    """Keep litellm and OpenAI's SDK from writing several records for each of a thousand calls.

    The SDK also writes Azure's key into one of its own, at DEBUG.
    """
    loggers = [logging.getLogger(name) for name in ("LiteLLM", "openai", "httpx", "httpcore")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
