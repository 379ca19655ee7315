"""Files of batches in OpenAI's form, in which Mistral has them too.

Source: OpenAI and Mistral, the API references of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from itertools import count, islice

from .behaviour import BatchSimulation
from .requests import BatchCall, BatchReply, refused

_PAGE = 20


@dataclass(slots=True)
class BatchFile:
    """A file of requests or of results."""

    id: str
    filename: str
    content: bytes
    created_at: float
    purpose: str = "batch"


class BatchFiles:
    """The files of one simulator."""

    def __init__(self, behaviour: BatchSimulation) -> None:
        self._behaviour = behaviour
        self._files: dict[str, BatchFile] = {}
        self._numbers = count(1)  # files may be deleted

    def get(self, id: object) -> BatchFile | None:
        """Return a file; None when there is none of the id."""
        return self._files.get(str(id))

    def add(self, name: str, content: bytes, purpose: str = "batch") -> BatchFile:
        """Add a file."""
        file = BatchFile(f"file-{next(self._numbers):06}", name, content, self._behaviour.now, purpose)
        self._files[file.id] = file
        return file

    def answer(self, call: BatchCall) -> BatchReply:
        """Answer a request about files."""
        rest = call.path.strip("/").split("/")[1:]
        if not rest:
            if call.method == "POST":
                return self._upload(call)
            return BatchReply.of(page([_shown_file(file) for file in reversed(self._files.values())], call.query))
        file = self._files.get(rest[0])
        if file is None:
            return refused(404, f"No such File object: {rest[0]}")
        if rest[1:] == ["content"]:
            return BatchReply(file.content)
        if call.method == "DELETE":
            del self._files[file.id]
            return BatchReply.of({"id": file.id, "object": "file", "deleted": True})
        return BatchReply.of(_shown_file(file))

    def _upload(self, call: BatchCall) -> BatchReply:
        fields, name, content = _multipart(call)
        if fields.get("purpose") != "batch":
            return refused(400, "purpose: the simulator takes files for batches")
        if len(content) > self._behaviour.max_bytes:
            return refused(413, "The file is too large.")
        return BatchReply.of(_shown_file(self.add(name, content)))


def page(items: list[dict[str, object]], query: Mapping[str, str]) -> dict[str, object]:
    """Return the page of a list that a query asks for."""
    after, limit = query.get("after"), int(query.get("limit", _PAGE))
    start = next((n + 1 for n, item in enumerate(items) if item["id"] == after), 0)
    data = list(islice(items, start, start + limit))
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(items),
    }


def _shown_file(file: BatchFile) -> dict[str, object]:
    is_given = file.purpose == "batch"
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": int(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        # Mistral's own
        "sample_type": "batch_request" if is_given else "batch_result",
        "source": "upload" if is_given else "mistral",
    }


def _multipart(call: BatchCall) -> tuple[dict[str, str], str, bytes]:
    """Return the fields of a form, and the name and content of its file."""
    header = Message()
    header["content-type"] = call.headers.get("Content-Type", "")
    boundary = str(header.get_param("boundary") or "").encode()
    fields: dict[str, str] = {}
    name, content = "", b""
    for head, body in _parts(call.body, boundary):
        field = re.search(rb'[; ]name="([^"]*)"', head)
        filename = re.search(rb'filename="([^"]*)"', head)
        if filename is not None:
            name, content = filename[1].decode("utf-8", "replace"), body
        elif field is not None:
            fields[field[1].decode()] = body.decode("utf-8", "replace")
    return fields, name, content


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    for part in body.split(b"--" + boundary)[1:-1] if boundary else ():
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        yield head, content.removesuffix(b"\r\n")
