"""A project directory for every test of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from asyncllm.config import LLMConfig, Profiles, load_config, load_profiles
from asyncllm.errors import ConfigError


@dataclass(frozen=True)
class Project:
    """A directory that is the working directory and the root of a project."""

    root: Path

    def write(self, text: str, name: str = "config.toml") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(self, profile: str | None = None, env: Mapping[str, str] | None = None, **overrides: Any) -> LLMConfig:
        return load_config(profile, env=env or {}, **overrides)

    def profiles(self, env: Mapping[str, str] | None = None) -> Profiles:
        return load_profiles(env=env or {})

    def error(self, profile: str | None = None, env: Mapping[str, str] | None = None, **overrides: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(profile, env, **overrides)
        return str(caught.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project; the environment is empty unless a test gives one."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def secret(config: LLMConfig) -> str | None:
    """Return the key that a configuration would send."""
    key = config.resolved_key()
    return None if key is None else key.get_secret_value()
