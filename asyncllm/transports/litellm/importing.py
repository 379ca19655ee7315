"""The import of litellm, which takes seconds, and its set-up."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from importlib import import_module
from types import ModuleType

OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLMOFFLINE_MODE": "true",
    "LITELLM_MODE": "PRODUCTION",
}
"""Environment variables that keep litellm from the network, from a `.env` of its own, and from printing; set before its
import, unless they are set already."""

_lock = threading.Lock()


@lru_cache(1)
def import_litellm() -> ModuleType:
    """Import litellm, offline."""
    with _lock:
        return _imported()


def model_response(data: dict[str, object]) -> object:
    """Make litellm's `ModelResponse` of an answer."""
    return import_litellm().ModelResponse(**data)


def is_imported() -> bool:
    """Return whether litellm has been imported here."""
    return import_litellm.cache_info().currsize > 0


@lru_cache(1)
def _imported() -> ModuleType:
    """Import litellm and set it up, once for calls that begin together."""
    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    litellm = import_module("litellm")
    # It prints advice beside each error, and has no parameter to be told not to.
    litellm.suppress_debug_info = True  # type: ignore[attr-defined]
    import_module(f"{__package__}.clients")  # with the parts of litellm that a first call would import
    return litellm
