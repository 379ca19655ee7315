"""The batch API of an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from asyncllm.errors import UnsupportedError
from asyncllm.transports.wire.formats.openai_requests import OpenAIFormat

from .api import ApiTransport, BatchApi
from .limits import limits_of
from .mistral import MistralBatchApi
from .openai import OpenAIBatchApi
from .provider import BatchProvider

if TYPE_CHECKING:
    from asyncllm.pipeline.endpoint import Endpoint


def open_provider(endpoint: Endpoint) -> BatchProvider:
    """Return the batch API of an endpoint.

    Raises:
        UnsupportedError: The provider has none that is served, or litellm serves the endpoint.
    """
    connection, format_ = endpoint.connection, endpoint.wire_format
    limits = limits_of(connection.provider)
    if format_ is None:
        raise UnsupportedError(
            f"deferred batches go over the wire, and litellm serves {endpoint.config.model}; nothing was sent.",
            hint='Set transport = "auto" and a plain base_url, or leave deferred out.',
        )
    transport = cast("ApiTransport", endpoint.api_transport())
    api = BatchApi(transport, connection, format_.headers, endpoint.config.timeout)
    if isinstance(format_, OpenAIFormat):
        if connection.provider == "mistral":
            return MistralBatchApi(api, format_, limits, azure=False)
        return OpenAIBatchApi(api, format_, limits, azure=connection.provider == "azure")
    # The formats take a while to import, and are there by now where they are needed.
    if connection.provider == "gemini":
        from asyncllm.transports.wire.formats.gemini.requests import GeminiFormat

        from .gemini import GeminiBatchApi

        return GeminiBatchApi(api, cast("GeminiFormat", format_), limits)
    from asyncllm.transports.wire.formats.anthropic.requests import AnthropicFormat

    from .anthropic import AnthropicBatchApi

    return AnthropicBatchApi(api, cast("AnthropicFormat", format_), limits)
