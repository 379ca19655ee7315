"""The figures of the house: sizes, names and types of the package, by folder. `python -m benchmarks.house [FOLDER]`."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONG_FUNCTION, LONG_FILE = 40, 400  # lines

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Figures:
    """What the sources of a folder add up to.

    Attributes:
        lines: Lines of all modules.
        annotations: Annotated parameters and results.
        of_any: Those that are `Any`, or hold it, each with where it is.
        classes: Where each class name is defined.
        modules: Modules and packages in each folder, `__init__` apart.
        long_functions: Functions of more than `LONG_FUNCTION` lines.
        long_files: Files of more than `LONG_FILE` lines.
    """

    lines: int = 0
    annotations: int = 0
    of_any: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    modules: Counter[str] = field(default_factory=Counter)
    long_functions: list[str] = field(default_factory=list)
    long_files: list[str] = field(default_factory=list)

    @property
    def names_used_twice(self) -> dict[str, list[str]]:
        """The class names that more than one class has."""
        return {name: places for name, places in self.classes.items() if len(places) > 1}

    @property
    def share_of_any(self) -> float:
        """The share of annotations that hold `Any`."""
        return len(self.of_any) / max(1, self.annotations)


def measure(folder: Path) -> Figures:
    """Add up the sources below a folder."""
    figures = Figures()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8")
        count = len(source.splitlines())
        figures.lines += count
        if count > LONG_FILE:
            figures.long_files.append(f"{name} ({count})")
        if path.name != "__init__.py":
            figures.modules[path.parent.relative_to(ROOT).as_posix()] += 1
        elif path.parent != folder:
            figures.modules[path.parent.parent.relative_to(ROOT).as_posix()] += 1
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                figures.classes[node.name].append(f"{name}:{node.lineno}")
            elif isinstance(node, _Function):
                _add_function(figures, node, name)
    return figures


def _add_function(figures: Figures, node: _Function, name: str) -> None:
    length = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
    if length > LONG_FUNCTION:
        figures.long_functions.append(f"{name}:{node.lineno} {node.name} ({length})")
    for annotation in _annotations(node):
        figures.annotations += 1
        if any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(annotation)):
            figures.of_any.append(f"{name}:{node.lineno} {node.name}: {ast.unparse(annotation)}")


def _docstring_lines(node: _Function) -> int:
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0


def _annotations(node: _Function) -> Iterator[ast.expr]:
    arguments = node.args
    for argument in (
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        *(one for one in (arguments.vararg, arguments.kwarg) if one is not None),
    ):
        if argument.annotation is not None:
            yield argument.annotation
    if node.returns is not None:
        yield node.returns


def main() -> None:
    """Print the figures of the package, or of a folder of it."""
    folder = ROOT / (sys.argv[1] if len(sys.argv) > 1 else "asyncllm")
    figures = measure(folder)
    print(f"lines: {figures.lines:,}")
    print(f"Any in signatures: {figures.share_of_any:.1%} of {figures.annotations:,}")
    for where in figures.of_any if len(sys.argv) > 1 else ():
        print("  ", where)
    print(f"class names used twice: {len(figures.names_used_twice)}", *figures.names_used_twice.items())
    print("modules in a folder, at most:", *figures.modules.most_common(3))
    for what, found in (
        (f"functions over {LONG_FUNCTION} lines", figures.long_functions),
        (f"files over {LONG_FILE} lines", figures.long_files),
    ):
        print(f"{what}: {len(found)}", *found, sep="\n   ")


if __name__ == "__main__":
    main()
