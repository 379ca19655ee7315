"""Hooks of mkdocs: diagrams as SVG, `llms.txt`, and each page as Markdown beside its HTML."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

DIAGRAMS = Path(__file__).parents[1] / "docs" / "diagrams"
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^::: (\S+)\n(?:(?: {4}.*)?\n)*", re.MULTILINE)
_BARS = re.compile(r'^<div class="bars">\n(.*?)^</div>$', re.MULTILINE | re.DOTALL)
_BAR = re.compile(r"<h3>(.*?)</h3>|<div.*?><b>(.*?)</b><span>.*?</i>(.*?)</span></div>")
_INTRODUCTION = (
    "asyncllm is an async-first Python SDK for language models: calls, streams, typed answers and batches, on asyncio "
    "and trio."
)

_pages: dict[str, tuple[str, str]] = {}


def drawing(source: str) -> Path:
    """Return the file that the drawing of a diagram is in, or would be."""
    return DIAGRAMS / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Keep the page as Markdown, and put its drawings in the place of its diagrams."""
    _pages[page.file.src_uri] = (page.title, markdown)
    return DIAGRAM.sub(_drawn, markdown)


def on_post_build(*, config: Any, **_: object) -> None:
    """Write the pages as Markdown, `llms.txt` and `llms-full.txt`, and remove the empty sitemap."""
    site = Path(config["site_dir"])
    pages = {path: (title, as_text(markdown)) for path, (title, markdown) in _pages.items()}
    listed = [entry for section in config["nav"] for entry in _entries(section)]
    index, full = [f"# asyncllm\n\n> {_INTRODUCTION}\n"], []
    for section, path in listed:
        if section and f"\n## {section}\n" not in index:
            index.append(f"\n## {section}\n")
        title, text = pages[path]
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text, encoding="utf-8")
        index.append(f"- [{title}]({path}): {first_sentence(text)}")
        full.append(f"<!-- {path} -->\n\n{text.strip()}\n")
    for sitemap in site.glob("sitemap.xml*"):
        sitemap.unlink()  # without a site_url it has no addresses
    (site / "llms.txt").write_text("\n".join(index) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(full), encoding="utf-8")


def as_text(markdown: str) -> str:
    """Return a page without what only its HTML needs: entries of the reference are written out, tags are left out."""
    text = _ENTRY.sub(lambda match: f"{documented(match[1])}\n", markdown)
    text = _BARS.sub(lambda match: _bars_as_text(match[1]), text)
    return re.sub(r"^\s*</?(?:div|figure|picture|source|img)\b.*>\n", "", text, flags=re.MULTILINE)


def _bars_as_text(bars: str) -> str:
    """Return the bars of a chart as lists under their headings."""
    lines: list[str] = []
    for heading, name, value in _BAR.findall(bars):
        lines += [f"\n{heading}:\n"] if heading else [f"- {name}: {value}"]
    return "\n".join(lines).strip() + "\n"


def documented(name: str) -> str:
    """Return the signature and the docstring of a name and of its public members, as Markdown."""
    found, module = _find(name)
    lines = [f"## {name}\n", *_described(name.rpartition(".")[2], found)]
    members = vars(found) if isinstance(found, type) or inspect.ismodule(found) else {}
    for member, value in members.items():
        own = not inspect.ismodule(found) or getattr(value, "__module__", None) == module.__name__
        value = value.fget if isinstance(value, property) else value
        if not member.startswith("_") and own and (inspect.isfunction(value) or inspect.isclass(value)):
            lines += [f"### {member}\n", *_described(member, value)]
    return "\n".join(lines)


def _drawn(match: re.Match[str]) -> str:
    file = drawing(match[1])
    if not file.exists():
        raise FileNotFoundError(f"a diagram has no drawing: python -m website.diagrams\n{match[1]}")
    return f'<figure class="diagram">{file.read_text(encoding="utf-8").strip()}</figure>'


def _entries(entry: Any, section: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(entry, str):
        yield section, entry
    elif isinstance(entry, dict):
        for name, inside in entry.items():
            if isinstance(inside, str):
                yield section, inside
            else:
                yield from _entries(inside, section or str(name))
    else:
        for each in entry:
            yield from _entries(each, section)


def first_sentence(text: str) -> str:
    """Return the first whole sentence of a page: what ends with a colon, or is a single word, does not sum it up."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = re.sub(r"^(?:[#|<=\[!-]|---).*$", "", prose.partition("\n# ")[2] or prose, flags=re.MULTILINE)
    paragraphs = [
        " ".join(re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", one).split()) for one in re.split(r"\n\s*\n", lines.strip())
    ]
    whole = (re.match(r".{20,}?\.(?=\s|$)", paragraph) for paragraph in paragraphs)
    return next((match[0] for match in whole if match is not None), paragraphs[0])


def _find(name: str) -> tuple[Any, Any]:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[length:], module), module
    raise ModuleNotFoundError(name)


def _described(name: str, found: Any) -> Iterator[str]:
    if callable(found):
        with contextlib.suppress(ValueError):  # a class of C
            yield f"```python\n{name}{inspect.signature(found)}\n```\n"
    yield f"{inspect.getdoc(found) or ''}\n"
