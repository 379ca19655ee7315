"""OpenTelemetry: spans and metrics by the GenAI semantic conventions, switched on by `instrument`.

Switched off, calls run none of this: `instrument` wraps methods of this package, and `uninstrument` puts them back.
"""

from __future__ import annotations

from ..errors import not_installed

try:
    import opentelemetry.trace as _api  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError:
    raise not_installed("Tracing needs", "otel") from None

from .instrumentation import AsyncLLMInstrumentor, instrument, uninstrument

__all__ = ["AsyncLLMInstrumentor", "instrument", "uninstrument"]
