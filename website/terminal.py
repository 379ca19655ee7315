"""The pictures of a terminal on the landing page, of what the program really writes: `python -m website.terminal`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "docs" / "assets"

# Columns of each picture; the narrow one can be read on a phone.
PICTURES = {"terminal.svg": 58, "terminal-narrow.svg": 36}
_DARK, _LIGHT = (11, 21, 26), (219, 229, 233)
_COLOURS = [(240, 160, 138), (143, 211, 164), (255, 180, 84), (134, 183, 245), (205, 167, 240), (111, 211, 227)]
THEME = TerminalTheme(_DARK, _LIGHT, [_DARK, *_COLOURS, _LIGHT])
ORDERS = """from pydantic import BaseModel


class Order(BaseModel):
    email: str
    pieces: int
"""
COMMANDS = (
    'asyncllm ask "Name a colour." --model simulated/demo',
    'asyncllm extract orders:Order "3 umbrellas to ada@example.org, please." --model simulated/demo',
    'asyncllm batch reviews.csv -o moods.jsonl -t "Praise or blame? {review}" --model simulated/demo',
)


def session() -> Text:
    """Run the commands, and return what a reader would see."""
    seen = Text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "orders.py").write_text(ORDERS, encoding="utf-8")
        (folder / "reviews.csv").write_bytes((ROOT / "examples" / "data" / "reviews.csv").read_bytes())
        for command in COMMANDS:
            seen.append("$ ", "green").append(f"{command}\n", "bold")
            arguments = [sys.executable, "-m", *shlex.split(command)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            ran = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=True)
            seen.append(ran.stdout.rstrip("\n"))
            seen.append(ran.stderr.rstrip("\n"), "cyan").append("\n\n")
    seen.rstrip()
    return seen.append("\n")  # room at the bottom


def draw(seen: Text, columns: int) -> str:
    """Return a picture of so many columns, which loads no font."""
    console = Console(record=True, width=columns, file=open(os.devnull, "w"), legacy_windows=False)  # noqa: SIM115
    console.print(seen, soft_wrap=False)
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = form.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    svg = console.export_svg(title="asyncllm", theme=THEME, code_format=form, unique_id="terminal")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


if __name__ == "__main__":
    seen = session()
    for picture, columns in PICTURES.items():
        (ASSETS / picture).write_text(draw(seen, columns), encoding="utf-8")
