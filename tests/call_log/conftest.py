"""The client of the simulator that these tests share."""

from __future__ import annotations

from tests.support.clients import libraries_imported, llm, options, pytest_configure, transport

__all__ = ["libraries_imported", "llm", "options", "pytest_configure", "transport"]
