"""Parts of pages that programs write are up to date, and navigation and prose keep their bounds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomli
import yaml  # type: ignore[import-untyped, unused-ignore]

import asyncllm
from asyncllm import LLMConfig, errors
from asyncllm.cli import main
from tests.support.fences import fences
from website import badges, error_examples, figures, reference
from website.diagrams import sources
from website.hooks import DIAGRAMS, as_text, drawing, first_sentence
from website.marks import between

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Front matter, code, figures and tags.
_NO_PROSE = r"\A---\n.*?^---$|^[ \t]*```.*?^[ \t]*```|<div class=\"bars.*^</div>$|<!--.*?-->|<[^>]+>"
MOST_ON_TOP, MOST_IN_A_SECTION, LONGEST_SENTENCE = 7, 9, 35


def navigation() -> list[Any]:
    """Return the navigation of the site."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    loaded: list[Any] = yaml.safe_load(nav)
    return loaded


def sections(entries: list[Any], name: str = "") -> dict[str, int]:
    """Return the number of entries of each section, those within it included."""
    found = {name: len(entries)}
    for entry in entries:
        for title, inside in entry.items() if isinstance(entry, dict) else ():
            if isinstance(inside, list):
                found |= sections(inside, f"{name}/{title}")
    return found


def test_the_navigation_can_be_overlooked() -> None:
    """There are at most seven entries on top, and nine in each section."""
    lengths = sections(navigation())
    assert lengths.pop("") <= MOST_ON_TOP
    assert {name: length for name, length in lengths.items() if length > MOST_IN_A_SECTION} == {}


@pytest.mark.parametrize("page", ["../README.md", "index.md", "quickstart.md", "install.md", "first-hour.md"])
def test_sentences_are_short(page: str) -> None:
    """On the first pages no sentence has more than thirty-five words."""
    text = (DOCS / page).read_text(encoding="utf-8")
    text = re.sub(_NO_PROSE, "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\s*(?:\||#+ |=== |- |\d+\. )", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)(?:\{[^}]*\})?", "]", text)
    sentences = re.split(r"(?<=[.!?])\s+|\n\s*\n", text)
    assert {each for each in sentences if len(each.split()) > LONGEST_SENTENCE} == set()


def test_the_tabs_of_the_landing_page_are_short() -> None:
    """Each of the three uses has at most fifteen lines."""
    shown = [fence.code.strip().splitlines() for fence in fences(DOCS / "index.md") if fence.language == "python"]
    assert [len(code) <= 15 for code in shown] == [True, True, True]


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        (figures.PAGE, "figures", figures.bars),
        (reference.FIELDS, "fields", reference.fields),
        (reference.COMMANDS, "commands", reference.commands),
        (reference.VERSIONS, "ranges", reference.ranges),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_written_part_is_up_to_date(page: Path, name: str, text: Any) -> None:
    """It is what the program named in its mark would write."""
    assert between(page, name).strip() == text().strip()


def test_the_badges_are_true() -> None:
    """They say what the project's metadata say."""
    committed = {file.stem: file.read_text(encoding="utf-8") for file in badges.FOLDER.glob("*.svg")}
    assert committed == badges.badges()


def test_a_release_has_one_version() -> None:
    """The package, its metadata and its citation agree."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert project["version"] == asyncllm.__version__ == citation["version"]
    assert project["license"] == citation["license"]


def test_every_diagram_has_its_drawing() -> None:
    """A diagram that was changed is drawn anew by `python -m website.diagrams`, and no drawing is left over."""
    assert {drawing(source) for source in sources()} == set(DIAGRAMS.glob("*.svg"))


def test_the_schema_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """The committed schema is the one of the fields, and `asyncllm schema` writes it."""
    committed = reference.SCHEMA.read_text(encoding="utf-8")
    assert committed == reference.schema()
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(committed)


def test_configurations_are_valid_by_the_schema() -> None:
    """That of this repository is, with its lines that are commented out, and so are those of the documentation."""
    jsonschema.Draft7Validator.check_schema(json.loads(reference.schema()))
    validate = jsonschema.Draft7Validator(json.loads(reference.schema())).validate
    config = (ROOT / "config.toml").read_text(encoding="utf-8")
    assert config.startswith("#:schema ./docs/config.schema.json\n")
    base = config.partition("[llm.simulated]")[0].partition("[llm]")[2]
    everything = dict(re.findall(r"^#? ?(\w+) = (.+?)(?: +#.*)?$", base, re.MULTILINE))
    shown = [fence.code for page in DOCS.rglob("*.md") for fence in fences(page) if fence.language == "toml"]
    shown = [code for code in shown if "[llm]" in code]
    for text in [config, "[llm]\n" + "\n".join(f"{name} = {value}" for name, value in everything.items()), *shown]:
        validate(tomli.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "[llm]\ntemprature = 0.2",
        "[llm.fast]\ntemprature = 0.2",
        '[llm]\ntimeout = "20"',
        "[llm.fast]\nnum_retries = -1",
        '[llm.fast]\ntransport = "pigeon"',
    ],
)
def test_mistakes_are_invalid_by_the_schema(text: str) -> None:
    """An editor shows a wrong name, type or value, in the base and in a profile."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomli.loads(text), json.loads(reference.schema()))


@pytest.mark.parametrize("name", reference.EXAMPLES)
def test_an_example_of_a_field_is_valid(name: str) -> None:
    """It is, by the schema and by the field itself; every field has one."""
    value = tomli.loads(f"value = {reference.EXAMPLES[name]}")["value"]
    jsonschema.validate({"llm": {name: value}}, json.loads(reference.schema()))
    given: dict[str, Any] = {"model": "openai/gpt-5-mini", name: value}
    LLMConfig(**given)
    assert reference.EXAMPLES.keys() == LLMConfig.model_fields.keys(), "add an example in website/reference.py"


def test_every_error_has_an_example() -> None:
    """Each public class is on the page of troubleshooting, with a message; the base class has none of its own."""
    public = {name for name in asyncllm.__all__ if name.endswith("Error")} - {"AsyncLLMError"}
    assert {kind.__name__ for kind in error_examples.EXAMPLES} == public
    assert all(kind is getattr(errors, kind.__name__) for kind in error_examples.EXAMPLES)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", error_examples.EXAMPLES, ids=lambda kind: kind.__name__)
async def test_an_example_is_what_the_error_says(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message on the page is that of a real run; figures that differ from run to run aside."""
    monkeypatch.chdir(tmp_path)
    shown = between(error_examples.PAGE, kind.__name__).removeprefix("```text\n").removesuffix("\n```")
    figure = re.compile(r"\d[\d.,e-]*")
    assert figure.sub("0", await error_examples.message(kind)) == figure.sub("0", shown)


def test_the_summary_of_a_page_is_its_first_whole_sentence() -> None:
    """What only announces a code block, and a single word, are no summaries."""
    code = "```bash\npip install .\n```"
    page = f"# Install\n\nIn a clone:\n\n{code}\n\nNo.\n\nIt needs [Python](x.md) 3.11 or newer. More.\n"
    assert first_sentence(page) == "It needs Python 3.11 or newer."
    assert first_sentence("# Title\n\nSee [calls](calls.md)\n") == "See calls"


def test_charts_are_lists_in_markdown() -> None:
    """The headings of the bars keep their figures."""
    text = as_text((DIAGRAMS.parent / "index.md").read_text(encoding="utf-8"))
    bars = text.partition("CPU of a plain call, 50 at a time:\n\n")[2].partition("\n\n")[0].splitlines()
    assert "<h3>" not in text
    assert len(bars) > 3
    assert all(re.fullmatch(r"- .+: [\d,]+ µs", bar) for bar in bars)
