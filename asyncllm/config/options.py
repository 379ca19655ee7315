"""The fields of a profile as typed keyword arguments; a test keeps them equal to `Fields`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Required, TypedDict

from pydantic import SecretStr

from .fields import CacheMode, StructuredMode, TransportName


class _OtherThanModel(TypedDict, total=False):
    api_key: str | SecretStr | None
    api_key_env: str | None
    base_url: str | None
    api_version: str | None
    custom_llm_provider: str | None
    extra_headers: Mapping[str, str | SecretStr] | None
    aws_access_key_id: str | SecretStr | None
    aws_secret_access_key: str | SecretStr | None
    aws_session_token: str | SecretStr | None
    aws_region_name: str | None
    aws_profile_name: str | None
    aws_role_name: str | None
    aws_session_name: str | None
    aws_external_id: str | SecretStr | None
    aws_web_identity_token: str | SecretStr | None
    aws_sts_endpoint: str | None
    aws_bedrock_runtime_endpoint: str | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    stop: str | Sequence[str] | None
    reasoning_effort: str | None
    safety_settings: Mapping[str, str] | Sequence[Mapping[str, str]] | None
    extra_body: Mapping[str, object] | None
    max_output_tokens: int | None
    max_input_tokens: int | None
    timeout: float | None
    connect_timeout: float | None
    first_token_timeout: float | None
    idle_timeout: float | None
    deadline: float | None
    num_retries: int | None
    retry_min_wait: float | None
    retry_max_wait: float | None
    retry_multiplier: float | None
    fallbacks: Sequence[str] | None
    max_concurrency: int | None
    max_queue: int | None
    tenant_max_concurrency: int | None
    tenant_max_queue: int | None
    tenant_requests_per_minute: float | None
    tenant_budget_usd: float | None
    requests_per_minute: float | None
    tokens_per_minute: float | None
    limits_url: str | SecretStr | None
    adaptive: bool | None
    budget_usd: float | None
    input_cost_per_token: float | None
    output_cost_per_token: float | None
    cached_input_cost_per_token: float | None
    cache: str | None
    cache_mode: CacheMode | None
    cache_ttl: float | None
    cache_max_bytes: int | None
    drop_params: bool | None
    disable_vision: bool | None
    caching_prompt: bool | None
    custom_tokenizer: str | None
    structured_mode: StructuredMode | None
    max_reasks: int | None
    transport: TransportName | None
    call_log: str | None
    call_log_max_bytes: int | None
    call_log_max_age: float | None
    log_prompts: bool | None


class Options(_OtherThanModel, total=False):
    """The fields that an argument can override; None unsets the field."""

    model: str | None


class ConfigOptions(_OtherThanModel, total=False):
    """The fields of a configuration made without a file; the model is required."""

    model: Required[str]
