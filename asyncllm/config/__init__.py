"""Profiles: from `config.toml`, the environment and arguments to one checked, immutable `LLMConfig`."""

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
