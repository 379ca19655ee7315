"""Texts of many kinds, for comparing token estimates with real tokenizers.

For each language it is the first article of the Universal Declaration of Human Rights.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

LANGUAGES: dict[str, str] = json.loads(Path(__file__).with_name("languages.json").read_text("utf-8"))

_PYTHON = """
class Cache:
    def __init__(self, max_size: int = 128) -> None:
        self._entries: dict[str, bytes] = {}
        self.max_size = max_size

    def get(self, key: str, default: bytes | None = None) -> bytes | None:
        try:
            value = self._entries.pop(key)
        except KeyError:
            return default
        self._entries[key] = value  # most recently used last
        return value
"""

_TYPESCRIPT = """
export async function fetchUser(id: number): Promise<User | null> {
  const response = await fetch(`${BASE_URL}/users/${id}`, { headers: { Accept: "application/json" } });
  if (!response.ok) { throw new HttpError(response.status, await response.text()); }
  return (await response.json()) as User;
}
"""

MACHINE = {
    "base64": base64.b64encode(b"".join(hashlib.sha256(bytes([n])).digest() for n in range(12))).decode(),
    "csv": "\n".join(f"{n},2024-03-{n % 28 + 1:02d},{n * 17.35:.2f},EUR,ACME-{n * 7919}" for n in range(40)),
    "emoji": "Great news! 🎉🎉 We shipped it 🚀 and everyone is happy 😀👍🏽 — see you at the party 🥳🍕",
    "hex": " ".join(hashlib.md5(bytes([n]), usedforsecurity=False).hexdigest() for n in range(12)),
    "json": json.dumps([{"id": n, "name": f"item {n}", "price": n * 1.5, "tags": ["a", "b"]} for n in range(20)]),
    "json_indented": json.dumps({"user": {"name": "Ada", "roles": ["admin", "author"], "age": 36}}, indent=4),
    "markdown": "# Title\n\n- **bold** item with `code`\n- [a link](https://example.com/a/b?c=d&e=f#g)\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "numbers": " ".join(str(n * n * 31) for n in range(100, 160)),
    "python": _PYTHON,
    "typescript": _TYPESCRIPT,
    "urls": "https://www.example.com/shop/products/12345?ref=newsletter&utm_source=mail https://docs.python.org/3/library/re.html",
}
