"""The log as a folder of JSON Lines, one file a day."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from .database import CallDatabase, Selection, Total
from .entry import FIELDS, LoggedCall


class CallFolder:
    """The log in one folder.

    Args:
        path: The folder.
        create: Make it when it is missing.

    Raises:
        FileNotFoundError: It is missing, and is not to be made.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            raise FileNotFoundError(f"there is no call log {path}")
        self._path = path

    def close(self) -> None:
        """Do nothing: no file is open."""

    def add(self, calls: Sequence[LoggedCall], *, max_bytes: int, max_age_days: float | None) -> None:
        """Add calls to the files of their days, and remove the oldest files that do not fit or are too old."""
        by_day: dict[str, list[LoggedCall]] = {}
        for call in calls:
            by_day.setdefault(f"{datetime.fromtimestamp(call.at):%Y-%m-%d}", []).append(call)
        for day, of_the_day in by_day.items():
            text = "".join(f"{json.dumps(call.to_dict(), default=repr)}\n" for call in of_the_day)
            with (self._path / f"{day}.jsonl").open("a", encoding="utf-8") as file:
                file.write(text)
        self._keep_within(max_bytes, max_age_days)

    def calls(self, selection: Selection, limit: int | None = None) -> Iterator[LoggedCall]:
        """Yield calls, the newest first."""
        left = limit
        for file in sorted(self._path.glob("*.jsonl"), reverse=True):
            for line in reversed(file.read_text(encoding="utf-8").splitlines()):
                if left == 0:
                    return
                call = _loaded(line)
                if call is not None and _matches(call, selection):
                    left = None if left is None else left - 1
                    yield call

    def totals(self, selection: Selection, by: str) -> list[Total]:
        """Return calls added up, as `CallDatabase.totals` does."""
        without_texts = (replace(call, messages=None, answer=None) for call in self.calls(selection))
        with closing(CallDatabase(Path(":memory:"), create=True)) as database:
            database.add(without_texts, max_bytes=sys.maxsize, max_age_days=None)
            return database.totals(Selection(), by)

    def _keep_within(self, max_bytes: int, max_age_days: float | None) -> None:
        files = sorted(self._path.glob("*.jsonl"))
        if max_age_days is not None:
            oldest = f"{date.today() - timedelta(days=max_age_days):%Y-%m-%d}"
            for file in [file for file in files if file.stem < oldest]:
                file.unlink(missing_ok=True)
                files.remove(file)
        size = sum(file.stat().st_size for file in files)
        while size > max_bytes and len(files) > 1:
            oldest_file = files.pop(0)
            size -= oldest_file.stat().st_size
            oldest_file.unlink(missing_ok=True)


def _loaded(line: str) -> LoggedCall | None:
    """Return the call of a line; None for one that a killed process left half written."""
    try:
        values = json.loads(line)
        return LoggedCall(**{name: value for name, value in values.items() if name in FIELDS})
    except (ValueError, TypeError, AttributeError):
        return None


def _matches(call: LoggedCall, selection: Selection) -> bool:
    text = f"{call.prompt_text}\n{call.answer_text}".lower()
    return (
        (selection.words is None or all(word in text for word in selection.words.lower().split()))
        and (selection.model is None or selection.model in call.model)
        and selection.profile in (None, call.profile)
        and selection.tenant in (None, call.tenant)
        and selection.status in (None, call.status)
        and (selection.since is None or call.at >= selection.since)
    )
