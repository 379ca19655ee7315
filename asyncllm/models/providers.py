"""litellm's providers, and the environment variables of their keys and endpoints.

The tables follow litellm's source; a test compares them with the installed litellm.
"""

from __future__ import annotations

SIMULATED = "simulated"
"""The provider of `simulated/...` models, the embedded simulator; not one of litellm's."""

_NAMES = """
a2a a2a_agent abliteration ai21 ai21_chat aihubmix aiml aiohttp_openai amazon_nova anthropic anthropic_text apertis
assemblyai auto_router aws_polly aws_textract azure azure_ai azure_speech azure_text baseten bedrock bedrock_mantle
black_forest_labs bytez cerebras charity_engine chatgpt chutes clarifai cloudflare codestral cognition cohere
cohere_chat cometapi compactifai cortecs crusoe cursor custom custom_openai darkbloom dashscope databricks datarobot
deepgram deepinfra deepseek docker_model_runner dotprompt edenai elevenlabs empiriolabs empower fal_ai featherless_ai
fireworks_ai friendliai galadriel gdc gemini gigachat github github_copilot gmi gradient_ai groq helicone heroku
hosted_vllm huggingface humanloop hyperbolic inception infinity jina_ai lambda_ai langflow langfuse langgraph lemonade
libertai litellm_agent litellm_proxy llamafile llamagate lm_studio manus maritalk meta meta_llama milvus minimax mistral
modelscope mongodb moonshot morph nadir nano-gpt nebius neosantara nlp_cloud novita nscale nvidia_nim nvidia_riva oci
ollama ollama_chat oobabooga openai openai_like openrouter ovhcloud parasail perplexity petals pg_vector pinstripes poe
predibase prism publicai qwen_ai_platform qwencloud ragflow recraft reducto reka replicate runwayml s3_vectors sagemaker
sagemaker_chat sagemaker_nova sail sambanova sap sarvam scaleway scx-ai snowflake soniox stability strands_decider
synthetic tencent tensormesh text-completion-codestral text-completion-inception text-completion-openai together_ai
topaz transcribe triton typesafe v0 valkey veniceai vercel_ai_gateway vertex_ai vertex_ai_beta vllm volcengine voyage
wandb watsonx watsonx_text xai xiaomi_mimo xinference zai
"""

PROVIDERS: frozenset[str] = frozenset(_NAMES.split())
"""Every name that litellm accepts before the first slash of a model."""


def key_variables(provider: str) -> tuple[str, ...]:
    """Return the environment variables that usually hold the provider's key, in litellm's order.

    Args:
        provider: litellm's name of the provider.

    Returns:
        Most often one name, `<PROVIDER>_API_KEY`; none for a provider without keys (Vertex AI uses Google's own
        credentials, GitHub Copilot a login).
    """
    listed = _KEYS.get(provider)
    return (f"{_upper(provider)}_API_KEY",) if listed is None else listed


def base_url_variables(provider: str) -> tuple[str, ...]:
    """Return the environment variables that may hold the provider's endpoint, in litellm's order."""
    listed = _BASE_URLS.get(provider)
    return (f"{_upper(provider)}_API_BASE",) if listed is None else listed


def needs_key(provider: str) -> bool:
    """Return whether the provider requires a key: local servers, proxies and clouds with a login do not."""
    return provider not in _WORK_WITHOUT_KEY


def _upper(provider: str) -> str:
    return provider.upper().replace("-", "_")


_OPENAI_KEYS = ("OPENAI_API_KEY",)
_OPENAI_BASE_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_AZURE_KEYS = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")
_WATSONX_KEYS = ("WATSONX_APIKEY", "WATSONX_API_KEY", "WX_API_KEY")
_WATSONX_BASE_URLS = ("WATSONX_API_BASE", "WATSONX_URL", "WX_URL", "WML_URL")

# Names other than `<PROVIDER>_API_KEY`. Omitted on purpose: ANTHROPIC_AUTH_TOKEN and AZURE_AD_TOKEN, which are sent in
# another header and left to litellm, and MISTRAL_AZURE_API_KEY, an Azure key that litellm would send to Mistral.
_KEYS: dict[str, tuple[str, ...]] = {
    "ai21_chat": ("AI21_API_KEY",),
    "aiohttp_openai": _OPENAI_KEYS,
    "anthropic_text": ("ANTHROPIC_API_KEY",),
    "apertis": ("STIMA_API_KEY",),
    "azure": _AZURE_KEYS,
    "azure_text": _AZURE_KEYS,
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
    "bedrock_mantle": ("BEDROCK_MANTLE_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"),
    "chatgpt": (),
    "cohere": ("COHERE_API_KEY", "CO_API_KEY"),
    "cohere_chat": ("COHERE_API_KEY", "CO_API_KEY"),
    "cometapi": ("COMETAPI_KEY",),
    "custom_openai": _OPENAI_KEYS,
    "datarobot": ("DATAROBOT_API_TOKEN",),
    "featherless_ai": ("FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"),
    "fireworks_ai": ("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"),
    "friendliai": ("FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY", "PALM_API_KEY"),
    "gigachat": ("GIGACHAT_API_KEY", "GIGACHAT_CREDENTIALS"),
    "github_copilot": (),
    "huggingface": ("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    "lambda_ai": ("LAMBDA_API_KEY",),
    "meta_llama": ("LLAMA_API_KEY",),
    "nano-gpt": ("NANOGPT_API_KEY",),
    "nvidia_riva": ("NVIDIA_RIVA_API_KEY", "NVIDIA_NIM_API_KEY"),
    "oci": (),
    "ollama_chat": ("OLLAMA_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY", "OR_API_KEY"),
    "perplexity": ("PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"),
    "qwen_ai_platform": ("QWEN_AI_PLATFORM_API_KEY", "DASHSCOPE_API_KEY"),
    "qwencloud": ("QWENCLOUD_API_KEY", "DASHSCOPE_API_KEY"),
    "replicate": ("REPLICATE_API_KEY", "REPLICATE_API_TOKEN"),
    "sagemaker": (),
    "sagemaker_chat": (),
    "sagemaker_nova": (),
    "scaleway": ("SCW_SECRET_KEY",),
    "scx-ai": ("SCX_API_KEY",),
    SIMULATED: (),
    "snowflake": ("SNOWFLAKE_JWT",),
    "tensormesh": ("TENSORMESH_INFERENCE_API_KEY",),
    "text-completion-codestral": ("CODESTRAL_API_KEY",),
    "text-completion-inception": ("INCEPTION_API_KEY",),
    "text-completion-openai": _OPENAI_KEYS,
    "together_ai": ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
    "vercel_ai_gateway": ("VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"),
    "veniceai": ("VENICE_AI_API_KEY",),
    "vertex_ai": (),
    "vertex_ai_beta": (),
    "voyage": ("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"),
    "watsonx": _WATSONX_KEYS,
    "watsonx_text": _WATSONX_KEYS,
}

# Names other than `<PROVIDER>_API_BASE`.
_BASE_URLS: dict[str, tuple[str, ...]] = {
    "ai21_chat": ("AI21_API_BASE",),
    "aiohttp_openai": _OPENAI_BASE_URLS,
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "anthropic_text": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "azure_text": ("AZURE_API_BASE",),
    "cohere_chat": ("COHERE_API_BASE",),
    "custom_openai": _OPENAI_BASE_URLS,
    "featherless_ai": ("FEATHERLESS_AI_API_BASE", "FEATHERLESS_API_BASE"),
    "fireworks_ai": ("FIREWORKS_API_BASE",),
    "friendliai": ("FRIENDLI_API_BASE",),
    "huggingface": ("HF_API_BASE", "HUGGINGFACE_API_BASE"),
    "lambda_ai": ("LAMBDA_API_BASE",),
    "meta_llama": ("LLAMA_API_BASE",),
    "ollama_chat": ("OLLAMA_API_BASE",),
    "openai": _OPENAI_BASE_URLS,
    SIMULATED: (),
    "scx-ai": ("SCX_API_BASE",),
    "tensormesh": ("TENSORMESH_SERVERLESS_BASE_URL",),
    "text-completion-codestral": ("CODESTRAL_API_BASE",),
    "text-completion-inception": ("INCEPTION_API_BASE",),
    "text-completion-openai": _OPENAI_BASE_URLS,
    "vertex_ai": ("VERTEXAI_API_BASE", "VERTEX_API_BASE"),
    "vertex_ai_beta": ("VERTEXAI_API_BASE", "VERTEX_API_BASE"),
    "watsonx": _WATSONX_BASE_URLS,
    "watsonx_text": _WATSONX_BASE_URLS,
}

# Self-hosted servers and proxies: most accept a key, few require one.
_SELF_RUN = """
a2a a2a_agent custom docker_model_runner gdc hosted_vllm infinity langflow langgraph lemonade litellm_agent
litellm_proxy llamafile lm_studio ollama ollama_chat oobabooga openai_like petals triton vllm xinference
"""
# Clouds and products with their own login: AWS, Azure's directory, Google, Oracle, SAP, OAuth.
_WITH_LOGIN = """
azure azure_ai azure_text bedrock bedrock_mantle chatgpt databricks github_copilot oci sagemaker sagemaker_chat
sagemaker_nova sap vertex_ai vertex_ai_beta
"""
_WORK_WITHOUT_KEY = frozenset((*_SELF_RUN.split(), *_WITH_LOGIN.split(), SIMULATED))
