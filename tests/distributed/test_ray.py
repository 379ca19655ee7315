"""Datasets and files answered over the workers of one Ray, which is started once."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from asyncllm.simulator import Fault, Latency, Simulator
from tests.support.fences import fences_in, run_fences
from tests.support.ray_processes import kill_worker

from .conftest import RunningRay

pytest.importorskip("ray", reason='Ray is not installed: pip install "asyncllm[ray]"')

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.allow_refused_network,  # Ray asks for a route to find out its own address
    # Ray warns of its own settings, and leaves sockets and files to the end of the process.
    pytest.mark.filterwarnings("ignore"),
]


class City(BaseModel):
    name: str
    size: int


@pytest.fixture
def data(running_ray: RunningRay) -> Any:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray.data


def files_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_answers_and_limits(
    data: Any, running_ray: RunningRay, options: dict[str, Any], simulator: Simulator, secret_key: str
) -> None:
    """Two workers answer every row once, as structs, within one budget, and the key stands in no file of Ray's."""
    from asyncllm.distributed import answer

    rows = data.from_items([{"text": f"row {n}"} for n in range(400)], override_num_blocks=8)
    simulator.faults(Fault("status", code=400, contains="row 77"))
    out = answer(rows, template="Say {text}", options=options, response_model=City, workers=2, budget_usd=1.0)
    assert simulator.seen.requests == 0
    found = sorted(out.take_all(), key=lambda row: int(row["text"].split()[1]))
    assert [row["text"] for row in found] == [f"row {n}" for n in range(400)]
    assert [n for n, row in enumerate(found) if not row["ok"]] == [77]
    assert found[77]["error"].startswith("BadRequestError")
    assert isinstance(found[0]["answer"]["size"], int)
    assert simulator.seen.requests == 400
    assert simulator.seen.keys == {secret_key}
    for path in files_in(running_ray.session):
        assert secret_key.encode() not in path.read_bytes(), path


def test_a_killed_worker(
    data: Any, running_ray: RunningRay, options: dict[str, Any], simulator: Simulator, tmp_path: Path
) -> None:
    """A worker that is killed is started again, and no more than what it had in flight is sent again."""
    from asyncllm.distributed import answer

    in_flight = 20
    simulator.latency(Latency(first_token_s=0.02))
    rows = data.from_items([{"text": f"row {n}"} for n in range(1000)], override_num_blocks=8)
    out = answer(
        rows,
        template="Say {text}",
        options=options,
        workers=1,
        max_concurrency=in_flight,
        results=tmp_path,
        run_id="one",
    )
    found: list[str] = []
    killed: int | None = None
    for batch in out.iter_batches(batch_size=None, prefetch_batches=0):
        found.extend(batch["text"])
        killed = killed or kill_worker("MapWorker(MapBatches(Answerer))", running_ray.pid)
    assert killed is not None
    assert sorted(found) == sorted(f"row {n}" for n in range(1000))
    assert simulator.seen.requests <= 1000 + in_flight


def test_the_command(running_ray: RunningRay, options: dict[str, Any], simulator: Simulator, tmp_path: Path) -> None:
    """Files are answered into a folder; again, they are taken from there."""
    source, out = tmp_path / "rows.jsonl", tmp_path / "out"
    lines = [json.dumps({"id": str(n), "text": f"row {n}"}) for n in range(300)]
    source.write_text("\n".join([*lines[:150], "{broken", *lines[150:]]))
    settings = [f"{name}={options[name]}" for name in ("base_url", "api_key_env")]
    command = [sys.executable, "-m", "asyncllm", "batch", str(source), "-o", str(out), "-t", "Say {text}"]
    command += ["--model", str(options["model"]), *(text for setting in settings for text in ("--set", setting))]
    command += ["--workers", "2", "--ray", running_ray.address]
    for before in ("", " (300 of them before)"):
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ended.returncode == 1, ended.stderr
        assert f"300 done{before}, 0 failed" in ended.stderr
        assert "not sent: 1 rows" in ended.stderr
        parts = sorted(out.glob("part-*.jsonl"))
        written = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
        assert [row["id"] for row in written] == [str(n) for n in range(300)]
        assert simulator.seen.requests == 300
    (rejected,) = out.glob("rejected-*")
    assert json.loads(rejected.read_text())["line"] == 151


@pytest.mark.parametrize("name", ["answer", "Answerer", "shared_limiter"])
def test_the_example_of_a_docstring(name: str, data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs, with a profile of the folder that Ray was started in, where its workers look."""
    import asyncllm.distributed

    text = inspect.getdoc(getattr(asyncllm.distributed, name)) or ""
    fences = fences_in(text.replace('"fast"', '"simulated"'), name)
    assert fences
    with pytest.MonkeyPatch.context() as patch:
        run_fences(fences, name, patch, pytest.fail)
    assert capsys.readouterr().out.count("'ok': True") == (2 if name == "answer" else 0)
