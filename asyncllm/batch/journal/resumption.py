"""What a run finds in its journal before it sends anything: what is done, what is sent again, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from asyncllm import telemetry

from .fingerprint import Fingerprint
from .journal_file import DONE
from .store import STATES, Store, changes, reason


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a run finds in its journal before it sends anything.

    Attributes:
        run: The number of the run, from 1.
        done: Items that are done, and are not sent again.
        again: How many items are sent again, by reason; of an input that cannot be read ahead, the reasons that lie in
            the batch alone.
        new: How many items were never sent; 0 where the input cannot be read ahead.
        unknown: Requests that the run before had in flight when it ended: paid for, perhaps, with an unknown outcome.
        spent_usd: What all runs before have cost, what they had in flight included.
        changed: What of the batch is not what it was in the run before, as `before → now`.
    """

    run: int = 1
    done: int = 0
    again: Mapping[str, int] = field(default_factory=dict)
    new: int = 0
    unknown: int = 0
    spent_usd: float = 0.0
    changed: Mapping[str, str] = field(default_factory=dict)

    def announce(self, path: object) -> None:
        """Say it in the log, before it costs anything."""
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
        """Say what is done, what is sent again, and why."""
        again = sum(self.again.values())
        parts = [f"run {self.run}: {self.done:,} done", f"{again:,} to be sent again"]
        if again:
            parts[-1] += f" ({', '.join(f'{count:,} {why}' for why, count in sorted(self.again.items()))})"
        if self.new:
            parts.append(f"{self.new:,} new")
        if self.unknown:
            parts.append(f"{self.unknown:,} were in flight when the run before ended (paid for, perhaps)")
        parts += [f"{name} {change}" for name, change in self.changed.items()]
        return "; ".join(parts)


def look_ahead(store: Store, identities: Iterable[Fingerprint]) -> Counter[str]:
    """Count what becomes of the items of a whole input: `done`, or why they are sent."""
    counts: Counter[str] = Counter()
    seen: Counter[bytes] = Counter()
    for fingerprint in identities:
        counts[store.status(fingerprint, seen[fingerprint.key]) or "done"] += 1
        seen[fingerprint.key] += 1
    return counts


def look_back(store: Store, base: Mapping[str, str]) -> Counter[str]:
    """Count what becomes of the items of the run before, if they come again: `done`, or why they are sent again."""
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
