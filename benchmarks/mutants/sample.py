"""A seeded sample of mutants, and those that no test can tell from the original."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tomli

from .mutations import Mutant, Mutations
from .parts import ROOT, Part

_EQUIVALENTS = Path(__file__).with_name("equivalent.toml")
# A part with few mutants is still judged by this many of them.
_AT_LEAST = 20


@dataclass(frozen=True, slots=True)
class Equivalent:
    """A mutant that behaves as the original does.

    Attributes:
        path: The path of the module, relative to the root of the checkout.
        removed: The lines it takes out, without indentation.
        added: The lines it puts in.
        reason: Why no test can notice.
    """

    path: str
    removed: str
    added: str
    reason: str


def equivalents() -> frozenset[tuple[str, str, str]]:
    """Return what identifies the equivalent mutants: path, lines removed, lines added."""
    with _EQUIVALENTS.open("rb") as file:
        listed = [Equivalent(**entry) for entry in tomli.load(file)["mutant"]]
    return frozenset((one.path, one.removed, one.added) for one in listed)


def identity(mutant: Mutant) -> tuple[str, str, str]:
    """Return what identifies a mutant wherever its lines have moved: path, lines removed, lines added."""
    removed, added = (
        "\n".join(line[1:].strip() for line in mutant.diff if line.startswith(sign)) for sign in ("-", "+")
    )
    return mutant.path, removed, added


def draw(parts: dict[str, Part], size: int, seed: int) -> dict[str, list[Mutant]]:
    """Draw mutants at random, from each part in proportion to how many it has.

    Args:
        parts: The parts, by name.
        size: How many mutants in all, at least.
        seed: The same seed draws the same mutants of the same sources.
    """
    found = {
        name: [Mutations(path, (ROOT / path).read_text(encoding="utf-8")) for path in part.modules()]
        for name, part in parts.items()
    }
    counts = {name: sum(map(len, modules)) for name, modules in found.items()}
    total = sum(counts.values())
    quotas = {name: max(_AT_LEAST, -(-size * count // total)) for name, count in counts.items()}
    return {name: _some(modules, quotas[name], random.Random(f"{seed} {name}")) for name, modules in found.items()}


def _some(modules: list[Mutations], count: int, chance: random.Random) -> list[Mutant]:
    order = [(module, index) for module in modules for index in range(len(module))]
    chance.shuffle(order)
    valid: Iterator[Mutant] = (mutant for module, index in order if (mutant := module.mutant(index)) is not None)
    return [mutant for mutant, _ in zip(valid, range(count), strict=False)]
