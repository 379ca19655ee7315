"""Profiles: `config.toml`, the environment and arguments, merged into one validated, immutable `LLMConfig`.

Only the provider is derived here, by `models`; parameters of a single call are in `parameters`.
"""

from __future__ import annotations

from .describe import FieldDoc, describe_fields
from .mistakes import Mistake
from .model import LLMConfig
from .options import ConfigOptions, Options
from .profiles import Profiles, load_config, load_profiles
from .provenance import Origin, OriginKind

__all__ = [
    "ConfigOptions",
    "FieldDoc",
    "LLMConfig",
    "Mistake",
    "Options",
    "Origin",
    "OriginKind",
    "Profiles",
    "describe_fields",
    "load_config",
    "load_profiles",
]
