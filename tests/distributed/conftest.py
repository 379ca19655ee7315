"""Options of workers that answer by the simulator, and the Ray of the session."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Simulator

KEY_VARIABLE = "ASYNCLLM_TEST_WORKER_KEY"


@pytest.fixture
def options(simulator: Simulator, secret_key: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a worker's client; the key is in the environment."""
    monkeypatch.setenv(KEY_VARIABLE, secret_key)
    return {
        "model": "openai/gpt-4o-mini",
        "base_url": simulator.url,
        "api_key_env": KEY_VARIABLE,
        "retry_min_wait": 0.001,
        "retry_max_wait": 0.002,
    }


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray on this machine, started once; the folder of its session, with its logs."""
    ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "asyncllm[ray]"')
    from tests.support.secrets import SECRET

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv(KEY_VARIABLE, SECRET)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Sockets in there have long names, and a path of a socket at most 107 characters.
        folder = Path("/tmp") / f"ray-{os.getpid()}"
        started = ray.init(
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
        yield Path(started["session_dir"])
        ray.shutdown()
