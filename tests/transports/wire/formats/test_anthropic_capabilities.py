"""What Anthropic's models can do is what litellm decides."""

from __future__ import annotations

import re
from typing import Any

import pytest

from asyncllm.models import catalog
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.anthropic.capabilities import Capabilities, capabilities_of

pytestmark = pytest.mark.usefixtures("litellm_imported")

# Retired ones, new ones, variants of known ones, other makers' behind Anthropic's format.
OTHERS = """
    claude-2 claude-3-haiku-20240307 claude-3-5-sonnet-20241022 claude-3-7-sonnet-20250219 claude-3-7-sonnet-latest
    claude-sonnet-4-20250514 claude-opus-4-20250514 claude-opus-4-1 claude-opus-4-1-20250805 claude-newfamily-7
    claude-sonnet-6-1 claude-haiku-9 claude-fable-6 claude-mythos-9 Claude-Sonnet-4-5 claude-sonnet-4.5 claude-
    opus-4.8 claude-sonnet-4-6-20260219 claude-opus-4-8-20270101 claude-opus-4-7@20260416 claude-opus-4-5-v1:0
    claude-sonnet-4-5-2026-01-01 my-claude kimi-k2 kimi-k2-0905-preview qwen3-max glm-4.6 deepseek-chat gpt-4o gpt-5
    o3 gemini-2.5-flash
"""


def by_litellm(model: str) -> Capabilities:
    import_litellm()
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig
    from litellm.utils import supports_mid_conversation_system

    config: Any = AnthropicConfig()
    name = "anthropic"
    adapts = config._is_adaptive_thinking_model(model, name)
    return Capabilities(
        max_tokens=config.get_max_tokens_for_model(model),
        thinks="thinking" in config.get_supported_openai_params(model),
        adapts_thinking=adapts,
        takes_budgets=not adapts or config._supports_legacy_thinking(model, name),
        always_thinks=config._is_always_on_thinking_model(model, name),
        takes_xhigh=config._supports_effort_level(model, "xhigh", name),
        samples=config._supports_sampling_params(model),
        can_be_forced=not config.forced_tool_use_unsupported(model),
        has_schemas=config._supports_model_capability(model, "supports_native_structured_output", name),
        system_anywhere=supports_mid_conversation_system(model, name),
    )


def test_every_claude_has_the_capabilities_that_litellm_sees() -> None:
    """All names of the map with a Claude in them, whoever serves them, and names that are not in it."""
    names = {*OTHERS.split(), *filter(re.compile("claude").search, catalog.keys())}
    pairs = {name: (capabilities_of(name), by_litellm(name)) for name in names}
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    assert different == {}
