"""Contents of a journal, identities of its items, and what a user reads from it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from asyncllm import Journal, JournalEntry, JournalError, Request, ServerError
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.journal import RunSummary
from asyncllm.batch.journal.journal_file import open_to_write
from asyncllm.batch.journal.lock import JournalLock, is_locked
from asyncllm.batch.journal.store import JournalStore
from asyncllm.batch.outcome import Outcome
from asyncllm.completions.call_record import Attempt
from asyncllm.completions.usage import Usage

from .journals import MODEL, completion, outcome, row_of, write_run


def texts(path: Path) -> list[tuple[int, str | None, str]]:
    return [(entry.index, entry.id, entry.text) for entry in Journal.read(path).outcomes()]


def whys(path: Path, requests: list[Request], **settings: Any) -> list[str | None]:
    """Return why each of the requests would be sent, None for those that are done."""
    identify = Fingerprinter(settings.pop("model", MODEL), {}, settings.pop("params", {}), **settings)
    return [item.why for item in write_run(path, requests, [None] * len(requests), identify=identify, ended=None)]


def test_an_entry_has_what_there_is_to_know(path: Path) -> None:
    """Text, figures, attempts and times of an answer come back as they were."""
    write_run(path, [Request("a", id="first")], [outcome("hello")])
    (entry,) = Journal.read(path).outcomes()
    assert entry == JournalEntry(
        index=0,
        id="first",
        ok=True,
        text="hello",
        value="hello",
        error=None,
        message=None,
        finish_reason="stop",
        model=MODEL,
        provider="openai",
        profile="default",
        usage=Usage(12, 7, basis="known"),
        cost_usd=0.25,
        cost_basis="known",
        attempts=(Attempt("default", MODEL, elapsed_s=0.5),),
        started_at=100.0,
        queued_s=0,
        waited_s=0,
        first_token_s=None,
        elapsed_s=0.5,
        run=1,
        answer=completion("hello").to_dict(),
        answer_usage=Usage(12, 7, basis="known"),
        answer_cost_usd=0.25,
    )
    again = entry.completion()
    assert again is not None
    assert (again.text, again.usage, again.cost_usd) == ("hello", Usage(12, 7, basis="known"), 0.25)
    assert again.record.attempts == list(entry.attempts)
    assert again.record.transport == "journal"


def test_an_entry_of_a_failure_says_why(path: Path) -> None:
    """The class, the message and the attempts of an error are kept."""
    error = ServerError("it broke", model=MODEL, profile="fast", attempts=[Attempt("fast", MODEL, status_code=500)])
    write_run(path, [Request("a")], [Outcome(0, error=error)])
    (entry,) = Journal.read(path).outcomes()
    assert (entry.ok, entry.error, entry.message, entry.value) == (False, "ServerError", "it broke", None)
    assert (entry.model, entry.profile, entry.attempts[0].status_code) == (MODEL, "fast", 500)
    assert entry.completion() is None
    assert entry.cost_basis == "unknown"


def test_a_typed_value_is_plain_data(path: Path) -> None:
    """A pydantic object is kept as the JSON data that it stands for."""

    class Point(BaseModel):
        x: int
        tags: set[str]

    write_run(path, [Request("a")], [Outcome(0, value=Point(x=1, tags={"t"}), completion=completion("{}"))])
    (entry,) = Journal.read(path).outcomes()
    assert entry.value == {"x": 1, "tags": ["t"]}


@pytest.mark.parametrize("text", ["", "naïve \N{SNOWMAN} \0", "half a pair: \ud83d", '"}\\'])
def test_any_text_comes_back(path: Path, text: str) -> None:
    """What a provider can send is kept as it is, half of a surrogate pair included."""
    write_run(path, [Request(text, id=text or "none")], [outcome(text)])
    assert [entry.text for entry in Journal.read(path).outcomes()] == [text]


def test_entries_come_in_the_order_of_the_input(path: Path) -> None:
    """The positions in the latest run count, in any order that items ended or were written in before."""
    requests = [Request(f"{n}") for n in range(50)]
    write_run(path, requests, [outcome(f"{n}") for n in range(50)])
    write_run(path, requests[::-1], [None] * 50)
    assert texts(path) == [(n, None, f"{49 - n}") for n in range(50)]


def test_prompts_and_data_are_kept_only_when_asked_for(path: Path) -> None:
    """Neither the messages nor the caller's data are in the file, unless they were given to it."""
    write_run(path, [Request("a private prompt", data="private data")], [outcome()])
    assert b"private" not in path.read_bytes()


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Request("a", id="x"), None),
        (Request("a", id="x", data="other", user="somebody", metadata={"a": "b"}), None),
        (Request("b", id="x"), "prompt changed"),
        (Request("a", id="x", temperature=0.5), "temperature changed"),
        (Request("a", id="x", model="openai/gpt-5"), "model changed"),
        (Request("a", id="x", response_model=int), "structured_mode changed and type changed"),
        (Request("b", id="x", temperature=0.5), "prompt changed and temperature changed"),
        (Request("a", id="y"), "new"),
        (Request("a"), "new"),
    ],
)
def test_an_item_with_an_id_is_known_by_it(path: Path, request_: Request, why: str | None) -> None:
    """What is the same under the same id is done; what differs is sent again, and the reason is its difference."""
    write_run(path, [Request("a", id="x")], [outcome()])
    assert whys(path, [request_]) == [why]


def test_a_changed_batch_changes_what_it_affects(path: Path) -> None:
    """A parameter of the batch does not affect the items that have their own."""
    requests = [Request("a", id="a"), Request("b", id="b", temperature=0.1)]
    write_run(path, requests, [outcome(), outcome()])
    assert whys(path, requests, params={"temperature": 0.9}) == ["temperature changed", None]
    assert whys(path, requests, model="openai/gpt-5") == ["model changed", "model changed"]
    assert whys(path, requests, params={"timeout": 5, "user": "me"}) == [None, None]


def test_a_changed_type_is_another_one(path: Path) -> None:
    """A field that comes to a model of the same name changes the schema that is sent."""
    first: Any = type("Point", (BaseModel,), {"__annotations__": {"x": int}})
    second: Any = type("Point", (BaseModel,), {"__annotations__": {"x": int, "y": int}})
    request = Request("a", id="a")
    write_run(path, [request], [outcome()], identify=Fingerprinter(MODEL, {}, {}, first))
    assert whys(path, [request], response_model=first) == [None]
    assert whys(path, [request], response_model=second) == ["type changed"]


def test_items_without_ids_are_known_by_what_they_are(path: Path) -> None:
    """Inserted, moved or removed rows change nothing for the others, of which each occurrence counts by itself."""
    write_run(path, [Request("a"), Request("b"), Request("a")], [outcome("1"), outcome("2"), outcome("3")])
    assert whys(path, [Request("new"), Request("b"), Request("a"), Request("a"), Request("a")]) == [
        "new",
        None,
        None,
        None,
        "new",
    ]
    assert texts(path) == [(1, None, "2"), (2, None, "1"), (3, None, "3")]


def test_an_id_that_comes_twice_is_two_items(path: Path) -> None:
    """An id that the caller gave twice loses no item: the second one is kept beside the first."""
    requests = [Request("a", id="x"), Request("b", id="x")]
    write_run(path, requests, [outcome("1"), outcome("2")])
    assert texts(path) == [(0, "x", "1"), (1, "x", "2")]
    assert whys(path, requests) == [None, None]


@pytest.mark.parametrize(
    ("coming", "expected"),
    [
        (["a", "c", "b2"], [None, None, None]),
        (["a", "c", "d"], [None, None, "prompt changed and temperature changed"]),
        (["c", "a", "b2", "b1"], [None, None, None, None]),
    ],
)
def test_items_of_one_id_keep_their_answers_when_they_move(
    path: Path, coming: list[str], expected: list[str | None]
) -> None:
    """Each finds its own answer, and none takes over that of another which is in the input too."""
    known = {
        "a": Request("a", id="x"),
        "b1": Request("b", id="x", temperature=0.1),
        "c": Request("c", id="x"),
        "b2": Request("b", id="x", temperature=0.2),
        "d": Request("d", id="x"),
    }
    write_run(
        path, [known[name] for name in ("a", "b1", "c", "b2")], [outcome(name) for name in ("a", "b1", "c", "b2")]
    )
    registered = write_run(path, [known[name] for name in coming], [None] * len(coming), ended=None)
    assert [item.why for item in registered] == expected
    assert len({item.number for item in registered}) == len(coming)


def test_a_change_that_cannot_be_named_is_one_all_the_same(path: Path) -> None:
    """Where the settings of an answer are not what they were, the item is sent again."""
    request = Request("a", id="x")
    write_run(path, [request], [outcome("1")])
    warmer = Fingerprinter(MODEL, {}, {"temperature": 0.9})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE terms SET parts = ?", (json.dumps(dict(warmer.base.parts)),))
    assert whys(path, [request], params={"temperature": 0.9}) == ["changed"]


@pytest.mark.parametrize(
    ("options", "shared"), [({}, None), ({"find_duplicates": True}, "1")], ids=["not", "asked for"]
)
def test_identical_items_are_looked_for_only_when_that_is_asked_for(
    path: Path, options: dict[str, bool], shared: str | None
) -> None:
    """An item of another id has no part in an answer unless the batch shares them."""
    store, identify = JournalStore(open_to_write(path, "normal"), path, **options), Fingerprinter(MODEL, {}, {})
    store.begin(identify.base.parts, {}, 100.0)
    one, two = (identify(Request("a", id=id)) for id in ("one", "two"))
    (first,) = store.register([(0, one)])
    store.record(row_of(first, one, outcome("1")), one.settings, was_sent=True)
    (second,) = store.register([(1, two)])
    assert (second.duplicate.text if second.duplicate else None) == shared
    store.close()


@pytest.mark.parametrize("ended", ["running", "done", "stopped", "killed"])
def test_the_ends_of_a_run_are_those_of_its_type(path: Path, ended: str) -> None:
    """What a summary says is one of the words that a type checker knows."""
    write_run(path, [], [], ended=ended)
    (run,) = Journal.read(path).summary().runs
    assert run.ended == ended
    assert ended in get_args(get_type_hints(RunSummary)["ended"])


def test_many_repetitions_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Occurrences are told apart, also of more requests than are counted in memory."""
    monkeypatch.setattr("asyncllm.batch.journal.store._KEPT_COUNTS", 3)
    requests = [Request(f"{n % 10}") for n in range(100)]
    registered = write_run(path, requests, [outcome() for _ in requests])
    assert len({item.number for item in registered}) == 100
    assert whys(path, requests) == [None] * 100


def test_failed_and_truncated_items_are_sent_again(path: Path) -> None:
    """What did not come to a whole answer is not done, and a later answer replaces the earlier one."""
    requests = [Request("a", id="a"), Request("b", id="b")]
    write_run(path, requests, [outcome("1"), Outcome(1, error=ServerError("no"))])
    assert Journal.read(path).summary().failed == {"ServerError": 1}
    assert [item.why for item in write_run(path, requests, [None, outcome("2")])] == [None, "failed"]
    assert texts(path) == [(0, "a", "1"), (1, "b", "2")]
    summary = Journal.read(path).summary()
    assert (summary.items, summary.done, summary.failed) == (2, 2, {})


def test_the_rows_of_the_latest_input_count(path: Path) -> None:
    """A row that is no longer in the input is not among the entries of a run that came to its end."""
    write_run(path, [Request("a"), Request("b")], [outcome("1"), outcome("2")])
    write_run(path, [Request("b")], [None])
    assert texts(path) == [(0, None, "2")]
    assert Journal.read(path).summary().items == 1


def test_a_run_that_was_stopped_hides_nothing(path: Path) -> None:
    """What a run has not reached yet is there as the previous run left it."""
    requests = [Request(f"{n}") for n in range(4)]
    write_run(path, requests, [outcome(f"{n}") for n in range(4)])
    write_run(path, requests[:1], [None], ended="stopped")
    assert [text for _, _, text in texts(path)] == ["0", "1", "2", "3"]


def test_the_summary_adds_up_the_runs(path: Path) -> None:
    """Costs and tokens are those of all runs, since all were paid for; each run has its own."""
    requests = [Request("a", id="a"), Request("b", id="b")]
    write_run(path, requests, [outcome(), None], ended="stopped")
    write_run(path, [Request("c", id="a"), requests[1]], [outcome(), outcome()])
    summary = Journal.read(path).summary()
    assert (summary.cost_usd, summary.input_tokens, summary.output_tokens) == (0.75, 36, 21)
    assert [(run.run, run.ended, run.answered, run.cost_usd) for run in summary.runs] == [
        (1, "stopped", 1, 0.25),
        (2, "done", 2, 0.5),
    ]
    assert (summary.runs[0].started_at, summary.runs[0].ended_at) == (100.0, 200.0)
    assert not summary.running


def test_a_journal_can_be_read_while_it_is_written(path: Path) -> None:
    """A reader sees what is committed, and that a run is going on, and keeps no writer out."""
    lock = JournalLock(path)
    try:
        write_run(path, [Request("a")], [outcome("1")], ended=None)
        assert Journal.read(path).summary().running
        assert Journal.read(path).summary().runs[0].ended == "running"
        assert texts(path) == [(0, None, "1")]
    finally:
        lock.release()
    assert Journal.read(path).summary().runs[0].ended == "killed"
    assert not is_locked(path)


def test_one_process_writes_at_a_time(path: Path) -> None:
    """A second one is told that the journal is in use, and may have it when the first has ended, however it ended."""
    code = "import sys; from pathlib import Path; from asyncllm.batch.journal.lock import JournalLock\n"
    code += "lock = JournalLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(JournalError, match=r"in use by another run\. Wait for its end"):
            JournalLock(path)
        other.kill()
    JournalLock(path).release()
    assert list(path.parent.iterdir()) == []


def test_what_is_not_there_cannot_be_read(path: Path) -> None:
    """Reading makes no file."""
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.read(path)
    assert not path.exists()


def test_another_database_is_not_a_journal(path: Path) -> None:
    """A database of something else is neither read nor written."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(JournalError, match="is a database, and no journal"):
        Journal.read(path)
    with pytest.raises(JournalError, match="is a database, and no journal"):
        write_run(path, [], [])


def test_another_file_is_not_a_journal(path: Path) -> None:
    """A file of something else is said to be damaged, and stays as it is."""
    path.write_text("Dear diary, " * 100)
    with pytest.raises(JournalError, match="damaged"):
        Journal.read(path)
    with pytest.raises(JournalError, match="damaged"):
        write_run(path, [], [])
    assert path.read_text() == "Dear diary, " * 100


def test_a_newer_journal_is_left_alone(path: Path) -> None:
    """A journal of a later version says so, rather than being misread."""
    write_run(path, [], [])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(JournalError, match=r"newer version of asyncllm\. Upgrade"):
        Journal.read(path)
    with pytest.raises(JournalError, match="newer version"):
        write_run(path, [], [])


def test_a_wrong_durability_is_refused(path: Path) -> None:
    """There are two."""
    with pytest.raises(ValueError, match="'normal' or 'full'"):
        Journal(path, durability="fast")  # type: ignore[arg-type]
