"""The installed litellm and its model map, for comparisons."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from asyncllm.models import catalog


@pytest.fixture(scope="session")
def litellm() -> Iterator[ModuleType]:
    """Return the installed litellm, with its packaged map and without the network."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
            "LITELLM_OFFLINE_MODE": "true",
            "LITELLM_MODE": "PRODUCTION",
        }.items():
            patch.setenv(name, value)
        import litellm

        patch.setattr(litellm, "suppress_debug_info", True)
        yield litellm


@pytest.fixture(scope="session")
def whole_map() -> dict[str, dict[str, Any]]:
    """Return every model of litellm's map, parsed as JSON."""
    path = catalog.package_file("model_prices_and_context_window_backup.json")
    assert path is not None
    entries: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
    return {key: entry for key, entry in entries.items() if key not in catalog.NOT_MODELS}


@pytest.fixture
def parsed_catalog(monkeypatch: pytest.MonkeyPatch, whole_map: dict[str, dict[str, Any]]) -> None:
    """Read entries from the parsed map: searching the file for each of thousands takes too long."""
    rules = catalog.family_rules()
    monkeypatch.setattr(catalog, "_read", whole_map.get)
    assert catalog.family_rules() is rules
