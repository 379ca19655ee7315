"""The mutants of a module: mutmut's operators on every expression and statement that decides what the module does.

mutmut itself leaves out decorated functions and everything outside of functions, and has no sample of a given size;
its operators are used here as a library.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

# Mutants of these would be noise: an error as soon as the line runs, or no change to what runs.
_LEFT_OUT = (
    m.Annotation()
    | m.Decorator()
    | m.Import()
    | m.ImportFrom()
    | m.Call(
        func=m.OneOf(*(m.Name(name) for name in ("len", "isinstance", "issubclass", "cast", "TypeVar", "NewType")))
    )
    | m.If(test=m.Name("TYPE_CHECKING"))
    | m.Assign(value=m.Call(func=m.Name("TypeVar")))
    | m.Raise(exc=m.Call(func=m.Name("AssertionError")))
    | m.Assign(targets=[m.AssignTarget(m.Name("__slots__") | m.Name("__all__"))])
    | m.AnnAssign(annotation=m.Annotation(m.Name("TypeAlias")))
)
_SQL = re.compile(r"\b(SELECT|INSERT INTO|INSERT OR|UPDATE|DELETE FROM|PRAGMA|BEGIN|COMMIT|ROLLBACK|WHERE|ORDER BY)\b")
_SQL_TEXT = re.compile(r"'[^']*'")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one small fault.

    Attributes:
        path: The path of the module, relative to the root of the checkout.
        first_line: The first line of the statement with the fault.
        last_line: Its last line.
        source: The text of the module with the fault.
        diff: The lines that differ, each with `-` or `+` in front.
    """

    path: str
    first_line: int
    last_line: int
    source: str
    diff: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}:{self.first_line}"


class Mutations:
    """The mutations that a module allows.

    Args:
        path: The path of the module, relative to the root of the checkout.
        source: Its text.
    """

    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._source = source
        wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
        self._module = wrapper.module
        visitor = _Visitor()
        wrapper.visit(visitor)
        self._sites = visitor.sites

    def __len__(self) -> int:
        return len(self._sites)

    def mutant(self, index: int) -> Mutant | None:
        """Return a mutant; None for a mutation that changes nothing, or makes no valid Python."""
        site = self._sites[index]
        mutated = self._module.deep_replace(site.before, site.after)
        source = mutated.code if isinstance(mutated, cst.Module) else self._source
        try:
            compile(source, self._path, "exec", dont_inherit=True)
        except SyntaxError:
            return None
        if ast.dump(ast.parse(source)) == ast.dump(ast.parse(self._source)):
            return None
        return Mutant(self._path, site.first_line, site.last_line, source, _diff(self._source, source))


@dataclass(frozen=True, slots=True)
class _Site:
    before: cst.CSTNode
    after: cst.CSTNode
    first_line: int
    last_line: int


class _Visitor(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[_Site] = []
        self._statement: cst.CSTNode | None = None

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _LEFT_OUT):
            return False
        if isinstance(node, cst.SimpleStatementLine):
            self._statement = node
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                for mutated in operator(node):
                    self._add(node, mutated)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if original_node is self._statement:
            self._statement = None

    def _add(self, node: cst.CSTNode, mutated: cst.CSTNode) -> None:
        # Operators have no position of their own; they are on the lines of what they stand in.
        position = self.get_metadata(PositionProvider, self._statement or node, None)
        if position is not None and not _is_same_sql(node, mutated):
            self.sites.append(_Site(node, mutated, position.start.line, position.end.line))


def _is_same_sql(before: cst.CSTNode, after: cst.CSTNode) -> bool:
    """Return whether two nodes are the same SQL, whose keywords and names may be written in any case."""
    if not (isinstance(before, cst.SimpleString) and isinstance(after, cst.SimpleString)):
        return False
    one, other = before.value[1:-1], after.value[1:-1]
    is_sql = _SQL.search(one) is not None
    return is_sql and one.lower() == other.lower() and _SQL_TEXT.findall(one) == _SQL_TEXT.findall(other)


def _diff(before: str, after: str) -> tuple[str, ...]:
    lines: Sequence[str] = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))
