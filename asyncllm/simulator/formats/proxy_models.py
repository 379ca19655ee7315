"""The models of a LiteLLM proxy, with their prices and context windows."""

from __future__ import annotations

from functools import cache

from ..answers.json_values import encode_json

# Prices in US dollars per million tokens, in and out, and the context window: round figures that no real model has.
_MODELS = {
    "asyncllm-simulator": (1.0, 4.0, 128_000, 16_384),
    "asyncllm-simulator-mini": (0.1, 0.4, 32_000, 4_096),
    "asyncllm-simulator-reasoning": (2.0, 8.0, 200_000, 65_536),
}


@cache
def model_info() -> bytes:
    """Return the answer of GET /model/info."""
    return encode_json(
        {
            "data": [
                {
                    "model_name": name,
                    "litellm_params": {"model": f"openai/{name}"},
                    "model_info": {
                        "id": f"sim-{name}",
                        "db_model": False,
                        "key": name,
                        "litellm_provider": "openai",
                        "mode": "chat",
                        "max_tokens": output,
                        "max_input_tokens": window,
                        "max_output_tokens": output,
                        "input_cost_per_token": round(price_in / 1e6, 12),
                        "output_cost_per_token": round(price_out / 1e6, 12),
                        "supports_vision": True,
                        "supports_function_calling": True,
                        "supports_response_schema": True,
                        "supports_reasoning": "reason" in name,
                    },
                }
                for name, (price_in, price_out, window, output) in _MODELS.items()
            ]
        }
    )
