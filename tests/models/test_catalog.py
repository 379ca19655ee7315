"""Entries of litellm's map, cut out of the file and parsed alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asyncllm.errors import ConfigError
from asyncllm.models import catalog


@pytest.fixture
def other_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Replace litellm's map by a text."""
    caches = (catalog.entry, catalog.keys, catalog.family_rules, catalog._content, catalog._parsed)

    def put(text: str) -> None:
        path = tmp_path / "map.json"
        path.write_text(text, "utf-8")
        monkeypatch.setattr(catalog, "package_file", lambda *_: path)
        clear()

    def clear() -> None:
        for cache in (*caches, catalog._by_lower_case):
            cache.cache_clear()

    yield put
    monkeypatch.undo()
    clear()


def test_every_entry_is_read_as_a_parser_reads_it(whole_map):
    """Each of thousands of entries, found by its bytes, equals the parsed one."""
    read = {key: catalog.entry(key) for key in whole_map}
    assert read == whole_map


def test_keys_are_all_models_of_the_map(whole_map):
    """The names found without a parser are those of the parsed map, in order."""
    assert catalog.keys() == tuple(whole_map)


def test_an_unknown_key_has_no_entry():
    """A name that is not in the file has no entry."""
    assert catalog.entry("no-such-model") is None


def test_a_name_that_occurs_deeper_is_not_a_model():
    """A key inside an entry is not a model."""
    assert catalog.entry("search_context_cost_per_query") is None


def test_another_spelling_is_found():
    """A name is found in any case."""
    assert catalog.spelling("GPT-4o-Mini") == "gpt-4o-mini"


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_any_layout_is_read(other_map, indent: int | None):
    """A map with another indent, or none, has the same entries and names."""
    models = {"a": {"mode": "chat", "deeper": {"b": {}}}, "b": {"mode": "embedding"}, "empty": {}}
    other_map(json.dumps(models, indent=indent))
    assert {key: catalog.entry(key) for key in ("a", "b", "empty", "deeper")} == {**models, "deeper": None}


def test_a_key_with_a_wrong_indent_is_read(other_map):
    """An entry without its indent is found."""
    other_map('{\n    "a": {\n        "mode": "chat"\n    },\n"b": {\n        "mode": "x"\n    }\n}')
    assert (catalog.entry("b"), catalog.keys()) == ({"mode": "x"}, ("a", "b"))


def test_a_missing_map_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    """The error for a missing map has the remedy."""
    monkeypatch.setattr(catalog, "package_file", lambda *_: None)
    with pytest.raises(ConfigError, match="Install litellm again"):
        catalog._content.__wrapped__()


def test_importing_reads_and_imports_nothing_heavy():
    """Importing the package imports neither litellm nor a tokenizer, and reads no map."""
    script = (
        "import sys, asyncllm.models; from asyncllm.models import catalog; "
        "heavy = {'litellm', 'tiktoken', 'tokenizers', 'huggingface_hub'} & set(sys.modules); "
        "print(heavy or catalog._content.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_reading_an_entry_does_not_import_litellm():
    """Reading the map does not import litellm."""
    script = "import sys; from asyncllm.models import model_info; model_info('gpt-4o'); print('litellm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
