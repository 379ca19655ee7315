"""Models: providers, limits, abilities, prices and token counts.

Everything is read from litellm's data files, without importing litellm and without the network.
"""

from __future__ import annotations

from .costs import cost_usd, worst_case_cost
from .info import ModelInfo, model_info, parse_proxy_model_info
from .name_resolution import ResolvedModel, endpoint_provider, resolve_provider
from .prices import Prices, Rates, batch_prices, own_prices
from .providers import PROVIDERS, base_url_variables, key_variables, needs_key
from .tokens import TokenCount, count_tokens, counts_at_once, estimate_tokens

__all__ = [
    "PROVIDERS",
    "ModelInfo",
    "Prices",
    "Rates",
    "ResolvedModel",
    "TokenCount",
    "base_url_variables",
    "batch_prices",
    "cost_usd",
    "count_tokens",
    "counts_at_once",
    "endpoint_provider",
    "estimate_tokens",
    "key_variables",
    "model_info",
    "needs_key",
    "own_prices",
    "parse_proxy_model_info",
    "resolve_provider",
    "worst_case_cost",
]
