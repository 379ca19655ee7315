"""Anthropic's Messages API.

`requests` combines the conversions: `messages` (with `parts` and `system_messages`), `parameters` (with
`tools`, `schemas` and `thinking`, by the `capabilities` of a model); `answers` and `events` read what comes back.
"""

from .requests import AnthropicFormat, AnthropicRequest, open_format

__all__ = ["AnthropicFormat", "AnthropicRequest", "open_format"]
