"""What the tests of faults share with those of the core: litellm imported once, and its own warnings passed over."""

from __future__ import annotations

from tests.core.conftest import libraries_imported, pytest_configure

__all__ = ["libraries_imported", "pytest_configure"]
