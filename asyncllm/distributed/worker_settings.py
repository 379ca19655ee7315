"""The settings of workers: all that travels to them, and no secret among it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.fields import SECRETS
from ..errors import ConfigError
from ..parameters import CallOptions

if TYPE_CHECKING:
    from ..config import LLMConfig
    from .limiter import SharedLimiter

_HOW = (
    "Workers read keys where they run: name the variable in api_key_env, or give each machine the key in its own "
    "config.toml, readable by its owner alone."
)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The client of each worker, the answers that it asks for, and where they are kept.

    Attributes:
        profile: The name of a profile in the configuration of the machine that the worker runs on.
        config: The path of that configuration there; None for what a client there finds by itself.
        options: Fields of the profile, over those of the file.
        params: Parameters of every request.
        response_model: The type of the answers; None for texts.
        max_concurrency: The most that a worker has in flight, answers that are not sealed yet among it; None for that
            of the profile.
        results: The folder of sealed answers, a path or an fsspec URL; None keeps none.
        run_id: The name of the run in that folder.
        execution: Identifies one execution of the run: what failed in it is not sent again by a worker that was
            restarted, but by the next execution.
        limiter: What shares the limits of all workers where the profile has no `limits_url`; None for limits of each.

    Raises:
        ConfigError: A secret is among the options.
    """

    profile: str | None = None
    config: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params: CallOptions = field(default_factory=lambda: CallOptions())
    response_model: Any = None
    max_concurrency: int | None = None
    results: str | None = None
    run_id: str | None = None
    execution: str | None = None
    limiter: SharedLimiter | None = None

    def __post_init__(self) -> None:
        if self.profile is not None and not isinstance(self.profile, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"profile is the name of a profile, not {type(self.profile).__name__}.", hint=_HOW)
        if secrets := sorted((SECRETS | {"limits_url"}) & {*self.options, *self.params}):
            raise ConfigError(f"{', '.join(secrets)} is not sent to workers: Ray would keep and show it.", hint=_HOW)
        if (self.results is None) != (self.run_id is None):
            raise ConfigError("results and run_id belong together.", hint="Give both, or neither.")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise ConfigError(f"max_concurrency must be at least 1, not {self.max_concurrency}.")

    def llm_config(self) -> LLMConfig:
        """Load the profile, on the machine that this runs on.

        Raises:
            ConfigError: It is not there, or wrong.
        """
        from ..config import load_config

        options = dict(self.options)
        if self.max_concurrency is not None:
            options["max_concurrency"] = self.max_concurrency
        config = load_config(self.profile, path=None if self.config is None else Path(self.config), **options)
        return config if self.limiter is None else self.limiter.of(config)
