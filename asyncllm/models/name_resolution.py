"""Resolution of model names to providers, by the rules of litellm's `get_llm_provider`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigError, nearest
from . import catalog
from .providers import PROVIDERS, SIMULATED

ReadBy = Literal["prefix", "custom_llm_provider", "base_url", "litellm", "family", "server"]


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A provider, and its name of a model.

    Attributes:
        provider: litellm's name of the provider.
        name: The model without the provider's prefix.
        read_by: What named the provider: the `prefix` of the name, `custom_llm_provider`, the `base_url` of a known
            endpoint, or for a bare name `litellm`, by its map or its rules; the `family` that the name begins with,
            where litellm cannot resolve it; `server` for any other bare name at a `base_url`.
    """

    provider: str
    name: str
    read_by: ReadBy = field(default="prefix", compare=False)

    @property
    def is_guess(self) -> bool:
        """Whether litellm cannot resolve the name."""
        return self.read_by in ("family", "server")

    @property
    def prefixed(self) -> str:
        """The name as litellm resolves it to the provider in any case."""
        return f"{self.provider}/{self.name}"


def resolve_provider(model: str, custom_llm_provider: str | None = None, base_url: str | None = None) -> ResolvedModel:
    """Return the provider of a model as litellm resolves it, without importing litellm; more names than litellm can.

    In this order: `custom_llm_provider`, the prefix before the first slash, a provider's known endpoint, the bare name
    in litellm's map, litellm's rules for names that are not in the map; then the family that the name begins with, so
    that new and retired models work; and with a `base_url` any other bare name is one of an OpenAI-compatible server.

    Args:
        model: The model's name, with or without the provider's prefix.
        custom_llm_provider: The provider, when the name contains none or another one.
        base_url: The endpoint of the profile.

    Raises:
        ConfigError: No rule matches; the message has the remedy and the nearest valid name.
    """
    return _resolve(model, custom_llm_provider or None, base_url or None)


def endpoint_provider(base_url: str) -> str | None:
    """Return the provider whose own endpoint a URL is; None for any other."""
    url = _split(base_url)
    for endpoint, provider in _ENDPOINTS:
        known = _split(endpoint)
        if (known.hostname or "") == (url.hostname or "") and _is_below(url.path, known.path):
            return provider
    return None


@lru_cache(maxsize=512)  # One for each model and endpoint that a process uses.
def _resolve(model: str, given: str | None, base_url: str | None) -> ResolvedModel:
    if given is not None and given not in PROVIDERS and given != SIMULATED:
        raise _unknown_provider(given)
    head, slash, rest = model.partition("/")
    if not model or (slash and not rest and (head in PROVIDERS or head == SIMULATED)):
        raise ConfigError(f"The model name {model!r} is incomplete.", hint='Write "provider/model".')
    if SIMULATED in (head, given) and (slash or given):
        return ResolvedModel(SIMULATED, rest if head == SIMULATED else model)
    explicit = _explicit(model, given, base_url)
    if explicit is not None:
        return explicit if given is None or head == given else replace(explicit, read_by="custom_llm_provider")
    return (
        _by_endpoint(model, base_url)
        or _by_name(model)
        or _by_maker(model)
        or _by_server(model, base_url)
        or _unresolved(model)
    )


def _explicit(model: str, given: str | None, base_url: str | None) -> ResolvedModel | None:
    """Resolve a model whose provider is given, by its prefix or beside it."""
    head, slash, rest = model.partition("/")
    if head == "azure" and _is_served_by_azure_ai(rest):
        return ResolvedModel("openai", model)
    special = _older_interface(given or "", model) or (_older_interface(head, rest) if slash else None)
    if special is not None:
        return special
    if given is not None and head != given:
        head, slash, rest = given, "/", model
    if not slash or head not in PROVIDERS:
        return None
    if given == head == "openrouter" and "/" not in rest:
        return ResolvedModel(head, f"{head}/{rest}")
    return _within(head, rest, base_url)


def _within(provider: str, name: str, base_url: str | None) -> ResolvedModel:
    """Apply litellm's exceptions: a prefix that means another provider, and a name that is sent in another form."""
    if provider == "ai21" and _is_listed(name, "ai21", mode="chat"):
        return ResolvedModel("ai21_chat", name)
    if provider == "ragflow":
        return ResolvedModel(provider, f"{provider}/{name}")
    if provider == "bedrock_mantle":
        region, slash, plain = name.partition("/")
        return ResolvedModel(provider, plain if slash and _AWS_REGION.fullmatch(region) else name)
    if provider == "azure_ai" and base_url is not None and _is_openai_on_azure(name, base_url):
        return ResolvedModel("azure", name)
    return ResolvedModel(provider, name)


def _by_endpoint(model: str, base_url: str | None) -> ResolvedModel | None:
    provider = None if base_url is None else endpoint_provider(base_url)
    return None if provider is None else ResolvedModel(provider, model, "base_url")


def _by_name(model: str) -> ResolvedModel | None:
    """Resolve a bare name: by a form that only one provider uses, by the map, by litellm's rules for families."""
    provider = (
        _by_form(model)
        or _by_entry(model, catalog.entry(model))
        or _by_entry(model, catalog.entry(f"vertex_ai/{model}"), _LISTED_UNDER_VERTEX)
        or _by_family(model)
    )
    return None if provider is None else ResolvedModel(provider, model, "litellm")


def _by_form(model: str) -> str | None:
    if "ft:gpt-3.5-turbo" in model or "ft:gpt-4" in model or model.startswith("gpt-image") or model == "*":
        return "openai"
    name, colon, version = model.partition(":")
    # Replicate's versions are SHA-256 digests in hexadecimal.
    if name and colon and len(version.partition(":")[0]) == 64:
        return "replicate"
    return _FIXED_NAMES.get(model) or ("amazon_nova" if model.startswith("amazon_nova") else None)


def _by_entry(model: str, entry: catalog.ModelEntry | None, table: dict[str, str] | None = None) -> str | None:
    if entry is None:
        return None
    listed = str(entry.get("litellm_provider", ""))
    if listed == "openai" and model.startswith("ft:") and model.count(":") == 1:
        return None  # the price of fine-tuned models, not a model
    if listed == "bedrock" and (
        entry.get("mode") == "guardrail" or "month-commitment" in model or _BEDROCK_PRICE_ONLY.match(model)
    ):
        return None
    if listed == "anthropic" and model in _ANTHROPIC_TEXT_MODELS:
        return "anthropic_text"
    return (_LISTED if table is None else table).get(listed)


def _by_family(model: str) -> str | None:
    for rule in catalog.family_rules():
        provider = rule.details.get("litellm_provider")
        if isinstance(provider, str) and rule.pattern.search(model):
            return provider
    return None


def _by_maker(model: str) -> ResolvedModel | None:
    """Resolve a bare name by its beginning: models that are newer or older than the map."""
    found = _MAKERS.match(model)
    provider = None if found is None else next(name for name, start in found.groupdict().items() if start is not None)
    return None if provider is None else ResolvedModel(provider, model, "family")


def _by_server(model: str, base_url: str | None) -> ResolvedModel | None:
    """Resolve any other bare name at an endpoint of one's own; a prefix may be a misspelt provider."""
    is_bare = "/" not in model and model not in PROVIDERS
    return ResolvedModel("openai", model, "server") if base_url is not None and is_bare else None


def _older_interface(provider: str, name: str) -> ResolvedModel | None:
    if provider == "cohere" and _is_listed(name, "cohere_chat"):
        return ResolvedModel("cohere_chat", name)
    if provider == "anthropic" and name in _ANTHROPIC_TEXT_MODELS:
        return ResolvedModel("anthropic_text", name)
    return None


def _is_served_by_azure_ai(name: str) -> bool:
    return _is_listed(name, "cohere_chat") or _is_listed(f"mistral/{name}", "mistral")


def _is_openai_on_azure(name: str, base_url: str) -> bool:
    url = _split(base_url)
    if (url.hostname or "").endswith(_AZURE_FOUNDRY) and "/openai/deployments" not in url.path:
        return False
    plain = name.partition("/")[2] or name
    return _is_listed(plain, "openai") or _is_listed(plain, "text-completion-openai")


def _is_listed(key: str, provider: str, mode: str | None = None) -> bool:
    found = catalog.entry(key)
    return found is not None and found.get("litellm_provider") == provider and mode in (None, found.get("mode"))


def _unresolved(model: str) -> ResolvedModel:
    head, slash, rest = model.partition("/")
    if not slash and head in PROVIDERS:
        raise ConfigError(f"The model name {model!r} is only a provider.", hint=f'Write "{model}/<model>".')
    similar = nearest(head, PROVIDERS) if slash else None
    meant = f"{similar}/{rest}" if similar is not None else nearest(model, catalog.keys())
    guess = f'Did you mean "{meant}"? ' if meant is not None else ""
    raise ConfigError(
        f"The provider of the model {model!r} is unknown.",
        hint=f'{guess}Write "provider/model", or set custom_llm_provider. For a server with an OpenAI-compatible API, '
        'write "openai/<model>" and set base_url.',
    )


def _unknown_provider(name: str) -> ConfigError:
    meant = nearest(name, PROVIDERS)
    guess = f'Did you mean "{meant}"? ' if meant is not None else ""
    return ConfigError(
        f"custom_llm_provider {name!r} is not a provider that litellm knows.",
        hint=f'{guess}For a server with an OpenAI-compatible API, it is "openai".',
    )


@lru_cache(maxsize=256)
def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        # An invalid URL has no owner; the configuration reports it.
        return urlsplit("")


def _is_below(path: str, known: str) -> bool:
    """Return whether a path is the known one or below it, by whole segments."""
    prefix = known.rstrip("/")
    return not prefix or path.rstrip("/") == prefix or path.startswith(prefix + "/")


# The regions of AWS in all their forms: us-east-1, us-gov-west-1, ap-southeast-2.
_AWS_REGION = re.compile(r"[a-z]{2}(-gov)?-[a-z]+-\d")
_BEDROCK_PRICE_ONLY = re.compile(r"bedrock/[a-zA-Z0-9_-]+/.+")
_ANTHROPIC_TEXT_MODELS = ("claude-2", "claude-instant-1")
_AZURE_FOUNDRY = ".services.ai.azure.com"

# The families of names that their makers keep to themselves, by the provider that serves them.
_MAKERS = re.compile(
    r"(?P<anthropic>claude-)|(?P<openai>gpt-|chatgpt-|o\d)|(?P<gemini>gemini-)"
    r"|(?P<mistral>(?:mi|mini|magi)stral-|codestral-|pixtral-|devstral-)"
    r"|(?P<deepseek>deepseek-)|(?P<cohere_chat>command-)|(?P<xai>grok-)"
)

_VERTEX_KINDS = ("chat", "code-chat", "code-text", "embedding", "language", "text", "vision")
_WITHOUT_PREFIX = """
aleph_alpha anthropic bedrock cohere cohere_chat empower gradient_ai nlp_cloud openai openrouter text-completion-openai
watsonx
"""
# The provider of a bare name, by the `litellm_provider` of its entry. The models of all other providers are listed with
# their prefix, and not found by a bare name.
_LISTED = {
    **{name: name for name in _WITHOUT_PREFIX.split()},
    **{f"vertex_ai-{kind}-models": "vertex_ai" for kind in _VERTEX_KINDS},
    "ai21": "ai21_chat",
    "bedrock_converse": "bedrock",
}

# Vertex AI's image and video models are listed with their prefix, and found without it.
_LISTED_UNDER_VERTEX = {"vertex_ai-image-models": "vertex_ai", "vertex_ai-video-models": "vertex_ai"}

# Bare names that litellm's code lists.
_FIXED_NAMES = {
    "dall-e-2": "openai",
    "dall-e-3": "openai",
    "sora-2": "openai",
    "text-embedding-ada-002": "openai",
    "maritalk": "maritalk",
    "petals-team/StableBeluga2": "petals",
}

# Endpoints that identify a provider. litellm lists all of them, and the provider of most; for the others (xAI,
# Moonshot, ...) it is the owner of the host.
_ENDPOINTS = (
    ("api.perplexity.ai", "perplexity"),
    ("api.endpoints.anyscale.com/v1", "anyscale"),
    ("api.deepinfra.com/v1/openai", "deepinfra"),
    ("api.mistral.ai/v1", "mistral"),
    ("codestral.mistral.ai/v1/chat/completions", "codestral"),
    ("codestral.mistral.ai/v1/fim/completions", "text-completion-codestral"),
    ("api.groq.com/openai/v1", "groq"),
    ("integrate.api.nvidia.com/v1", "nvidia_nim"),
    ("api.getnadir.com/v1", "nadir"),
    ("api.deepseek.com/v1", "deepseek"),
    ("api.together.ai/v1", "together_ai"),
    ("api.together.xyz/v1", "together_ai"),
    ("app.empower.dev/api/v1", "empower"),
    ("api.friendli.ai/serverless/v1", "friendliai"),
    ("api.sambanova.ai/v1", "sambanova"),
    ("api.x.ai/v1", "xai"),
    ("ollama.com", "ollama"),
    ("api.galadriel.ai/v1", "galadriel"),
    ("api.llama.com/compat/v1", "meta_llama"),
    ("api.featherless.ai/v1", "featherless_ai"),
    ("inference.api.nscale.com/v1", "nscale"),
    ("api.studio.nebius.ai/v1", "nebius"),
    ("dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
    ("dashscope.aliyuncs.com/compatible-mode/v1", "dashscope"),
    ("api-inference.modelscope.cn/v1", "modelscope"),
    ("api.moonshot.ai/v1", "moonshot"),
    ("api.publicai.co/v1", "publicai"),
    ("api.synthetic.new/openai/v1", "synthetic"),
    ("serverless.tensormesh.ai/v1", "tensormesh"),
    ("api.stima.tech/v1", "apertis"),
    ("nano-gpt.com/api/v1", "nano-gpt"),
    ("api.poe.com/v1", "poe"),
    ("llm.chutes.ai/v1", "chutes"),
    ("api.v0.dev/v1", "v0"),
    ("api.morphllm.com/v1", "morph"),
    ("api.lambda.ai/v1", "lambda_ai"),
    ("api.inceptionlabs.ai/v1", "inception"),
    ("api.hyperbolic.xyz/v1", "hyperbolic"),
    ("ai-gateway.helicone.ai", "helicone"),
    ("ai-gateway.vercel.sh/v1", "vercel_ai_gateway"),
    ("api.edenai.run/v3", "edenai"),
    ("api.inference.wandb.ai/v1", "wandb"),
    ("api.clarifai.com/v2/ext/openai/v1", "clarifai"),
    ("api.libertai.io/v1", "libertai"),
    ("pinstripes.io/v1", "pinstripes"),
    ("api.meta.ai/v1", "meta"),
    ("api.sailresearch.com/v1", "sail"),
    ("api.cognition.ai/v1", "cognition"),
    ("api.cortecs.ai/v1", "cortecs"),
    ("api.scx.ai/v1", "scx-ai"),
    ("api.prisminference.com/v1", "prism"),
    ("api.reka.ai/v1", "reka"),
    ("gigachat.devices.sberbank.ru/api/v1", "gigachat"),
)
