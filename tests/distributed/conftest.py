"""Options of workers that answer by the simulator, and the Ray of the session."""

from __future__ import annotations

import gc
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET

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


@dataclass(frozen=True)
class RunningRay:
    """A Ray that runs, and that this process is connected to.

    Attributes:
        pid: The process that it descends from.
        session: The folder of its session, with its logs.
    """

    pid: int
    address: str
    session: Path


@pytest.fixture(scope="session")
def running_ray() -> Iterator[RunningRay]:
    """Ray on this machine, started once."""
    ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "asyncllm[ray]"')
    # Paths of sockets have at most 107 characters, and Ray's are long: the folder has a short one.
    folder = Path("/tmp") / f"ray-{os.getpid()}"
    # Without the guard of the network, which its agents stumble over: they look up names of this machine.
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if "subprocess_guard" not in path]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("PYTHONPATH", os.pathsep.join([*filter(None, paths), str(Path(__file__).parents[2])]))
        patch.setenv(KEY_VARIABLE, SECRET)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = ray.init(
            "local",
            num_cpus=4,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    yield RunningRay(os.getpid(), started["gcs_address"], Path(started["session_dir"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it does not wait for the processes that it ends
        ray.shutdown()
        gc.collect()
    shutil.rmtree(folder, ignore_errors=True)
