"""The state of a journal at the start of a run: what is done, what is sent again, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from asyncllm import telemetry

from .fingerprint import Fingerprint, changes
from .journal_file import DONE
from .store import STATES, JournalStore, reason


@dataclass(frozen=True, slots=True)
class Resumed:
    """The state of a journal at the start of a run, before anything is sent.

    Attributes:
        run: The number of the run, from 1.
        done: Items that are done, and are not sent again.
        again: The number of items that are sent again, by reason; of an input that cannot be read ahead, the reasons
            that lie in the batch alone.
        new: Items that were never sent; 0 where the input cannot be read ahead.
        unknown: Requests that the previous run had in flight when it ended; they may have been paid for.
        spent_usd: The cost of all previous runs, with what they had in flight.
        changed: The settings of the batch that differ from those of the previous run, as `before → now`.
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
            parts[-1] += f" ({', '.join(f'{count:,} {why}' for why, count in sorted(self.again.items()))})"
        if self.new:
            parts.append(f"{self.new:,} new")
        if self.unknown:
            parts.append(f"{self.unknown:,} were in flight when the previous run ended (perhaps paid for)")
        parts += [f"{name} {change}" for name, change in self.changed.items()]
        return "; ".join(parts)


def look_ahead(store: JournalStore, fingerprints: Iterable[Fingerprint]) -> Counter[str]:
    """Count the items of a whole input: `done`, or why they are sent."""
    counts: Counter[str] = Counter()
    seen: Counter[bytes] = Counter()
    for fingerprint in fingerprints:
        counts[store.status(fingerprint, seen[fingerprint.key]) or "done"] += 1
        seen[fingerprint.key] += 1
    return counts


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
