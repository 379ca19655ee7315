"""The state of a journal at the start of a run: what is done, what is sent again, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from asyncllm import telemetry

from .fingerprint import Fingerprint, changes
from .journal_file import DONE, failures, open_to_read
from .store import LOST, NEW, STATES, JournalStore, reason

# Items whose repetitions are counted exactly; of an input with more, a repetition beyond them counts as the first.
_KEPT_KEYS = 1_000_000
_IN_WORDS = {LOST: "without a known outcome"}


def reasons(again: Mapping[str, int]) -> str:
    """Return why items are sent again, with their numbers."""
    return ", ".join(f"{count:,} {_IN_WORDS.get(why, why)}" for why, count in sorted(again.items()))


@dataclass(frozen=True, slots=True)
class Resumed:
    """The state of a journal at the start of a run, before anything is sent.

    Attributes:
        run: The number of the run, from 1.
        done: Items that are done, and are not sent again.
        again: The number of items that are sent again, by reason; of an input that is not read ahead, the reasons
            that lie in the batch alone.
        new: Items that were never sent; 0 where the input is not read ahead.
        unknown: Requests that the previous run had in flight when it ended; they may have been paid for.
        spent_usd: The cost of all previous runs, with what they had in flight.
        changed: The settings of the batch that differ from those of the previous run, and how: numbers and names as
            `before → now`, anything else in words.
    """

    run: int = 1
    done: int = 0
    again: Mapping[str, int] = field(default_factory=dict[str, int])
    new: int = 0
    unknown: int = 0
    spent_usd: float = 0.0
    changed: Mapping[str, str] = field(default_factory=dict[str, str])

    def announce(self, path: object) -> None:
        """Emit the event `batch.resumed`."""
        telemetry.emit(
            telemetry.INFO,
            "batch.resumed",
            journal=str(path),
            run=self.run,
            done=self.done,
            again=sum(self.again.values()),
            unknown=self.unknown,
            spent_usd=self.spent_usd,
            why=self.in_words(),
        )

    def in_words(self) -> str:
        """Return what is done, what is sent again, and why, as one line."""
        again = sum(self.again.values())
        parts = [f"run {self.run}: {self.done:,} done", f"{again:,} to be sent again"]
        if again:
            parts[-1] += f" ({reasons(self.again)})"
        if self.new:
            parts.append(f"{self.new:,} new")
        if self.unknown:
            parts.append(f"{self.unknown:,} were in flight when the previous run ended (perhaps paid for)")
        parts += [f"{name} {change}" for name, change in self.changed.items()]
        return "; ".join(parts)


class LookAhead:
    """Counts the items of an input before it is sent: `done`, or why they are sent.

    Args:
        prompt_changed: Whether the prompt differs from that of the previous run. An item without an id is known by
            what is sent, so that the journal alone cannot tell an old row with another prompt from a new row: as many
            as have answers of other prompts count as changed.
    """

    def __init__(self, store: JournalStore, *, prompt_changed: bool = False) -> None:
        self._store = store
        self._prompt_changed = prompt_changed
        self._seen: Counter[bytes] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, fingerprint: Fingerprint) -> None:
        """Count an item."""
        key = fingerprint.key
        self._counts[self._store.status(fingerprint, self._seen[key]) or "done"] += 1
        if len(self._seen) < _KEPT_KEYS or key in self._seen:
            self._seen[key] += 1

    def counts(self) -> Counter[str]:
        """Return the number of items by what becomes of them."""
        counts = Counter(self._counts)
        if self._prompt_changed and counts[NEW]:
            known = counts.total() - counts[NEW]
            changed = min(counts[NEW], max(self._store.answer_count - known, 0))
            counts[NEW] -= changed
            counts["prompt changed"] += changed
        return +counts


@contextmanager
def looking_ahead(path: Path, *, prompt_changed: bool) -> Generator[LookAhead]:
    """Open a journal to count what a run would send, without beginning one.

    Raises:
        JournalError: It cannot be read.
    """
    with closing(open_to_read(path)) as connection, failures(path):
        store = JournalStore(connection, path)
        store.look()
        yield LookAhead(store, prompt_changed=prompt_changed)


def look_ahead(
    store: JournalStore, fingerprints: Iterable[Fingerprint], *, prompt_changed: bool = False
) -> Counter[str]:
    """Count the items of a whole input: `done`, or why they are sent."""
    ahead = LookAhead(store, prompt_changed=prompt_changed)
    for fingerprint in fingerprints:
        ahead.add(fingerprint)
    return ahead.counts()


def look_back(store: JournalStore, base: Mapping[str, str]) -> Counter[str]:
    """Count the items of the previous run as if they came again: `done`, or why they are sent again."""
    counts: Counter[str] = Counter()
    for state, settings, count in store.answers_by_settings():
        if state != DONE:
            counts[STATES.get(state, "unknown")] += count
            continue
        parts, own = store.settings(settings)
        now = {name: value for name, value in parts.items() if name in own}
        now |= {name: value for name, value in base.items() if name not in own}
        counts[reason(changes(parts, now)) or "done"] += count
    return counts
