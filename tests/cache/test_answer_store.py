"""The file of answers: its bounds, its damage, and several processes at once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asyncllm.cache import StoredAnswer
from asyncllm.cache.answer_store import AnswerStore, figures, prune


def answer(text: str = "x", *, made_at: float | None = None) -> StoredAnswer:
    """Return an answer of a text."""
    return StoredAnswer(f'"{text}"'.encode(), "m", 0.5, time.time() if made_at is None else made_at)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a cache."""
    return tmp_path / "answers.sqlite"


def test_an_answer_is_there_at_once_and_later(path: Path) -> None:
    """Before and after it is on the disk."""
    store = AnswerStore(path, 10_000)
    assert store.get(b"a") is None
    one = answer()
    assert store.put(b"a", one)
    assert store.get(b"a") == one
    store.close()
    store = AnswerStore(path, 10_000)
    assert store.get(b"a") == one
    store.close()
    assert not list(path.parent.glob("*-wal"))


def test_the_least_recently_used_go_first(path: Path) -> None:
    """The size of the answers stays below the bound; one that is larger is not kept."""
    store = AnswerStore(path, 10_000)
    for number in range(20):
        store.put(b"%d" % number, answer("x" * 200, made_at=float(number)))
    store.close()
    store = AnswerStore(path, 10_000)
    store.get(b"0")
    store.put(b"new", answer("x" * 200))
    store.close()
    for number in range(20, 60):
        store = AnswerStore(path, 10_000)
        store.put(b"%d" % number, answer("x" * 200, made_at=float(number)))
        store.close()
    found = figures(path)
    assert found.size_bytes <= 10_000
    assert found.answers >= 20
    store = AnswerStore(path, 10_000)
    assert store.get(b"0") is not None
    assert store.get(b"1") is None
    assert not store.put(b"large", answer("x" * 20_000))
    store.close()


def test_figures_and_pruning(path: Path) -> None:
    """Counts, costs and models; old answers go."""
    store = AnswerStore(path, 10_000)
    store.put(b"old", answer(made_at=time.time() - 100))
    store.put(b"new", answer())
    store.close()
    found = figures(path)
    assert (found.answers, found.cost_usd, found.models) == (2, 1.0, {"m": 2})
    assert prune(path, older_than_s=50) == 1
    assert prune(path, max_bytes=0) == 1
    assert figures(path).size_bytes == 0


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_warns_once_and_fails_nothing(path: Path, content: bytes) -> None:
    """It is left as it is."""
    path.write_bytes(content)
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        store = AnswerStore(path, 10_000)
    assert store.get(b"a") is None
    assert not store.put(b"a", answer())
    assert store.get(b"a") is None
    store.close()
    assert path.read_bytes() == content


def test_another_database_is_not_written_to(path: Path) -> None:
    """A journal given by mistake stays what it is."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE answers (mine)")
    connection.close()
    with pytest.warns(RuntimeWarning, match="it is another database"):
        AnswerStore(path, 10_000).close()


def test_a_file_that_is_damaged_later(path: Path) -> None:
    """The writer's failure warns once as well."""
    AnswerStore(path, 10_000).close()
    store = AnswerStore(path, 10_000)
    path.write_bytes(b"no database" * 100)

    def write() -> None:
        store.put(b"a", answer())
        store.close()

    with pytest.warns(RuntimeWarning, match="cannot be used"):
        write()


WORKER = """
import random, sys
from pathlib import Path
from asyncllm.cache import StoredAnswer
from asyncllm.cache.answer_store import AnswerStore
import time
store = AnswerStore(Path(sys.argv[1]), 1_000_000)
chance = random.Random(int(sys.argv[2]))
for _ in range(2_500):
    key = chance.randrange(400)
    found = store.get(b"%d" % key)
    if found is None:
        store.put(b"%d" % key, StoredAnswer(b"answer %d" % key, "m", None, time.time()))
    else:
        assert found.data == b"answer %d" % key, found
    if sys.argv[3] == "dies" and chance.random() < 0.001:
        print("dead", flush=True)
        import os; os._exit(9)
store.close()
print("done", flush=True)
"""


def test_four_processes_share_it_and_some_are_killed(path: Path) -> None:
    """10,000 calls: no answer is wrong, and the file is whole."""
    fates = ("dies", "lives", "dies", "lives")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(number), fate],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ.copy(),
        )
        for number, fate in enumerate(fates)
    ]
    results = [worker.communicate(timeout=100) for worker in workers]
    assert [(out.strip(), err) for out, err in results[1::2]] == [("done", "")] * 2
    assert all(err == "" for _, err in results)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for key, data in connection.execute("SELECT key, answer FROM answers"):
        assert data == b"answer " + key
    connection.close()
