"""Pages rendered from templates: one HTML file without scripts that loads nothing, in one style."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from asyncllm.errors import not_installed


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the figures at the top; a bad one stands out."""

    name: str
    value: str
    note: str = ""
    bad: bool = False


def render(template: str, without: str = "", /, **values: object) -> str:
    """Return the HTML of a template.

    Args:
        template: Its path within the package.
        without: What can be done without the library that renders it, for the message where it is missing.
        **values: The values of its names.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise not_installed("the page needs", "report", without) from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_source))
    return environment.get_template(template).render(values)


def _source(path: str) -> str:
    return files("asyncllm").joinpath(path).read_text(encoding="utf-8")
