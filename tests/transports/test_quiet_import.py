"""Importing litellm without holding up other threads."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm.transports.litellm.quiet_import import import_quietly, read_in_slices, write_in_slices

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 2]))
def test_slices_read_what_the_standard_decoder_reads(value: object, indent: int | None) -> None:
    """Reading in slices gives the same value for any JSON, however it is spaced."""
    text = json.dumps(value, indent=indent)
    assert read_in_slices(text) == json.loads(text)


@given(values)
def test_slices_write_what_the_standard_encoder_writes(value: object) -> None:
    """Writing in slices gives the same text, keys that are no texts included."""
    assert write_in_slices(value, json.dumps) == json.dumps(value)


@given(st.text(alphabet='{}[]",:1a ', max_size=12))
def test_slices_refuse_what_the_standard_decoder_refuses(text: str) -> None:
    """Broken JSON is refused, never read as something else."""
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011  # json's own errors are plain ValueErrors as well
            read_in_slices(text)
    else:
        assert read_in_slices(text) == expected


def test_other_threads_keep_the_standard_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a module is imported, another thread's JSON is read as always, and afterwards everybody's is."""
    large = json.dumps(["x" * 200_000, {"a": 1}])
    (tmp_path / "imports_json.py").write_text(
        "import json, threading\n"
        "from pathlib import Path\n"
        f"text = Path({str(tmp_path / 'large.json')!r}).read_text()\n"
        "here = json.loads(text)\n"
        "elsewhere = []\n"
        "thread = threading.Thread(target=lambda: elsewhere.append(json.loads(text)))\n"
        "thread.start(); thread.join()\n"
        "written = json.dumps(here)\n"
    )
    (tmp_path / "large.json").write_text(large)
    monkeypatch.syspath_prepend(tmp_path)
    before = (json.load, json.loads, json.dumps, gc.isenabled())
    module = import_quietly("imports_json")
    try:
        assert module.here == json.loads(large)
        assert module.elsewhere == [module.here]
        assert module.written == large
        assert (json.load, json.loads, json.dumps, gc.isenabled()) == before
    finally:
        del sys.modules["imports_json"]
        gc.unfreeze()


def test_a_failed_import_leaves_nothing_changed() -> None:
    """An import that fails puts the JSON functions and the collector back."""
    before = (json.load, json.loads, json.dumps, gc.isenabled())
    with pytest.raises(ModuleNotFoundError):
        import_quietly("no_such_module_anywhere")
    assert (json.load, json.loads, json.dumps, gc.isenabled()) == before
