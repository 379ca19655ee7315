"""Suggestions for misspelt names."""

from __future__ import annotations

import pytest

from asyncllm.errors import nearest


@pytest.mark.parametrize(
    ("name", "meant"),
    [("temprature", "temperature"), ("TIMEOUT", "timeout"), ("max_retrys", "max_retries"), ("xyz", None), ("", None)],
)
def test_the_nearest_name_is_found(name: str, meant: str | None):
    """A typing error is recognised in any case; an unrelated name is not."""
    assert nearest(name, ["temperature", "timeout", "max_retries", "top_p"]) == meant


def test_a_name_is_not_its_own_suggestion():
    """A valid name is never suggested for itself."""
    assert nearest("timeout", ["timeout"]) is None
