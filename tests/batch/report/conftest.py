"""The command line, for tests of the report as it is asked for."""

from __future__ import annotations

from tests.cli.conftest import directory, run

__all__ = ["directory", "run"]
