"""A local HTTP server that speaks the part of the Hugging Face Hub's protocol that downloads use.

Small files are served directly with their git object name as ETag; weight files answer with a
redirect to another path, as the Hub's large files do, with their SHA-256 in ``X-Linked-Etag``.
Faults are switched on per file: see :class:`Hub`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".safetensors", ".bin")


class Hub:
    """What the server has, what it does wrong, and what it was asked.

    Attributes:
        repositories: folder of each repository.
        cut: file name -> numbers of bytes after which its next answers break off; once the list
            is used up, answers are whole.
        refuse_after_cut: answer 503 to whoever comes back for the rest.
        garbled: files whose bytes are not those that the checksum was made of.
        answer: a file to send as what is said about any repository; the truth where None.
        commit: what is stated as the commit, whichever was asked for; the truth where None.
        requests: "METHOD path [range]" of everything that was asked.
    """

    def __init__(self, **repositories: Path) -> None:
        self.repositories = {name.replace("__", "/"): root for name, root in repositories.items()}
        self.cut: dict[str, list[int]] = {}
        self.refuse_after_cut = False
        self.garbled: set[str] = set()
        self.answer: Path | None = None
        self.commit: str | None = None
        self.requests: list[str] = []
        self.endpoint = ""

    def files(self, repository: str) -> dict[str, Path]:
        """Every file of a repository by its name there."""
        root = self.repositories[repository]
        found = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {path.relative_to(root).as_posix(): path for path in found}

    def digest(self, name: str, content: bytes) -> str:
        """The checksum that is stated for a file: SHA-256 of large ones, git's SHA-1 of others."""
        if name.endswith(LARGE):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the server on a free port of this machine; ``hub.endpoint`` is its address."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    commit: str
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        wanted = self.headers.get("Range", "")
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{self.command} {path} {wanted}".strip())
        asked = re.search(r"(?:/revision/|/resolve/|commit=)([0-9a-f]{40})\b", self.path)
        self.commit = self.hub.commit or (asked[1] if asked else COMMIT)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            self._info(match[1])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[3], body)
        elif match := re.fullmatch(r"/store/([^/]+/[^/]+)/(.+)", path):
            self._bytes(match[2], self.hub.files(match[1])[match[2]].read_bytes(), body)
        else:
            self._error(404, "EntryNotFound")

    def _info(self, repository: str) -> None:
        if self.hub.answer is not None:
            content = self.hub.answer.read_bytes()
            self._send(200, content, {"Content-Type": "application/json"}, True)
            return
        if repository not in self.hub.repositories:
            self._error(404, "RepoNotFound")
            return
        siblings = []
        for name, path in self.hub.files(repository).items():
            content = path.read_bytes()
            digest = self.hub.digest(name, content)
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": digest}
            if name.endswith(LARGE):
                entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        answer = {"id": repository, "sha": self.commit, "tags": [], "siblings": siblings}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, True)

    def _file(self, repository: str, name: str, body: bool) -> None:
        if repository not in self.hub.repositories:
            self._error(404, "RepoNotFound")
        elif name not in self.hub.files(repository):
            self._error(404, "EntryNotFound")
        elif name.endswith(LARGE):
            content = self.hub.files(repository)[name].read_bytes()
            headers = {
                "Location": f"{self.hub.endpoint}/store/{repository}/{name}?commit={self.commit}",
                "X-Repo-Commit": self.commit,
                "X-Linked-Etag": f'"{self.hub.digest(name, content)}"',
                "X-Linked-Size": str(len(content)),
            }
            self._send(302, b"", headers, body)
        else:
            self._bytes(name, self.hub.files(repository)[name].read_bytes(), body)

    def _bytes(self, name: str, content: bytes, body: bool) -> None:
        headers = {
            "ETag": f'"{self.hub.digest(name, content)}"',
            "X-Repo-Commit": self.commit,
            "Accept-Ranges": "bytes",
        }
        if name in self.hub.garbled:
            content = b"?" + content[1:]
        first = 0
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            first = int(match[1])
            if self.hub.refuse_after_cut:
                self._error(503, "")
                return
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        cuts = self.hub.cut.get(name, [])
        stop = cuts.pop(0) if body and cuts else None
        self._send(206 if first else 200, content[first:], headers, body, stop)

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code}, False)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        body: bool,
        stop: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[:stop])
        if stop is not None:
            self.wfile.flush()
            self.close_connection = True
