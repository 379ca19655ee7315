"""The report of a run under a moving limit and faults, as a browser shows it: on a desk, on a phone, dark, printed.

    python -m benchmarks.report_page FOLDER [--seconds 60]

Runs a batch against a simulator whose limit changes every few seconds, stops it half-way and continues it, and leaves
the journal, the page, its text and the pictures in FOLDER, to be looked at. Needs Chromium: `.ci/install-browser`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

from asyncllm.testing import Fault, Latency, Limit, Simulator

# Width and height of the window in CSS pixels; a narrower one than 500 is not given to a window without a screen.
_SHOTS = {"wide": (1280, 2900), "phone": (500, 5600)}
_LIMITS_PER_S = (60, 25, 120, 10)
_ROWS = 6_000


def main() -> int:
    """Run the batch and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the batch may run")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    run_batch(given.folder, given.seconds)
    for form, arguments in {"page.html": ["-o", "page.html"], "page.txt": ["--text"]}.items():
        command = [sys.executable, "-m", "asyncllm", "report", "out.csv", *arguments]
        written = subprocess.run(command, cwd=given.folder, check=True, capture_output=True).stdout
        if written:
            (given.folder / form).write_bytes(written)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("there is no Chromium to take pictures with: .ci/install-browser", file=sys.stderr)
        return 1
    take_pictures(browser, given.folder)
    return 0


def run_batch(folder: Path, seconds: float) -> None:
    """Run a batch in two halves, while the provider's limit moves and a part of its answers fails."""
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(_ROWS):
            file.write(json.dumps({"id": f"row-{number}", "text": f"row {number}"}) + "\n")
    faults = [
        Fault("status", code=400, rate=0.01),
        Fault("status", code=503, rate=0.03),
        Fault("reset", rate=0.01),
        Fault("garbage", rate=0.005),
    ]
    latency = Latency(first_token_s=0.4, tokens_per_s=120, spread=0.6)
    with Simulator(latency=latency, faults=faults, record=False) as provider:
        command = [sys.executable, "-m", "asyncllm", "batch", "rows.jsonl", "-o", "out.csv", "-t", "Summarise: {text}"]
        command += ["--model", "openai/gpt-4o", "--set", f"base_url={provider.url}", "--set", "api_key=any"]
        moving = cycle(_LIMITS_PER_S)
        for _ in range(2):
            with subprocess.Popen(command, cwd=folder) as process:
                end = time.monotonic() + seconds / 2
                while time.monotonic() < end and process.poll() is None:
                    provider.limits(Limit("requests", per_second=next(moving), burst=20))
                    time.sleep(min(7.0, seconds / 8))
                process.send_signal(signal.SIGINT)


def take_pictures(browser: str, folder: Path) -> None:
    """Take a picture of the page in each size and each colour, and print it."""
    page = (folder / "page.html").resolve().as_uri()
    quiet = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    for name, (width, height) in _SHOTS.items():
        for scheme, setting in {"light": 1, "dark": 0}.items():
            picture = folder / f"{name}-{scheme}.png"
            options = [f"--window-size={width},{height}", f"--blink-settings=preferredColorScheme={setting}"]
            subprocess.run([*quiet, *options, f"--screenshot={picture}", page], check=True, capture_output=True)
    subprocess.run([*quiet, f"--print-to-pdf={folder / 'print.pdf'}", page], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
