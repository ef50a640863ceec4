"""A small server on this machine that speaks as much of the Hugging Face hub's protocol as fetching a model takes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

Content = bytes | Path


def commit_of(name: str) -> str:
    """A commit's 40 digits."""
    return hashlib.sha1(name.encode()).hexdigest()


@dataclass
class Repository:
    """Files by commit; branches and tags by name."""

    commits: dict[str, dict[str, Content]]
    refs: dict[str, str]
    gated: bool = False
    # Who may read a gated one.
    token: str | None = None


@dataclass
class Request:
    method: str
    path: str
    range: str | None


@dataclass
class Hub:
    """The server and what was asked of it."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    # path in a repository → how often its download is still to break, half-way of what is left
    cuts: dict[str, int] = field(default_factory=dict)
    # paths in a repository whose first byte is another one on its way
    garbled: set[str] = field(default_factory=set)
    # the status of every answer, where the hub is down
    down: int | None = None
    url: str = ""

    def add(self, name: str, files: dict[str, Content], **options) -> str:
        """A repository with one commit on its main branch; gives the commit."""
        commit = commit_of(name)
        self.repositories[name] = Repository({commit: files}, {"main": commit}, **options)
        return commit

    def downloads(self) -> list[str]:
        """The files whose bytes were asked for, by name."""
        return [r.path.split("/resolve/")[1].split("/", 1)[1] for r in self.requests
                if r.method == "GET" and "/resolve/" in r.path]

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(Request(self.command, path, self.headers.get("Range")))
        if self.hub.down:
            return self._json({"error": "down"}, self.hub.down)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?/?", path):
            return self._about(match[1], match[2] or "revision", match[3] or "main")
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(match[1], match[2], match[3])
        return self._refuse(404, "", "no such page")

    def _find(self, name: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(name)
        if repository is None:  # the hub does not tell strangers what is private and what does not exist
            self._refuse(401, "RepoNotFound", "Repository not found")
            return None
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _about(self, name: str, what: str, revision: str) -> None:
        if (found := self._find(name, revision)) is None:
            return
        repository, commit = found
        files = repository.commits[commit]
        if what == "tree":
            self._json([{"type": "file", "path": path, "size": _size(content), "oid": _etag(path, content)}
                        for path, content in files.items()])
        else:
            self._json({"id": name, "modelId": name, "sha": commit, "private": False, "tags": [],
                        "gated": "manual" if repository.gated else False,
                        "siblings": [{"rfilename": path} for path in files]})

    def _file(self, name: str, revision: str, path: str) -> None:
        if (found := self._find(name, revision)) is None:
            return
        repository, commit = found
        if repository.gated:
            given = self.headers.get("Authorization", "")
            if given != f"Bearer {repository.token}":
                return self._refuse(403 if given else 401, "GatedRepo", f"Access to model {name} is restricted")
        content = repository.commits[commit].get(path)
        if content is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        data = content.read_bytes() if isinstance(content, Path) else content
        if path in self.hub.garbled:
            data = bytes([data[0] ^ 1]) + data[1:]
        start, wanted = 0, self.headers.get("Range")
        if wanted and self.command == "GET":
            start = int(re.fullmatch(r"bytes=(\d+)-.*", wanted)[1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{_etag(path, content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cuts.get(path, 0):
            self.hub.cuts[path] -= 1
            self.wfile.write(data[start : start + (len(data) - start) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(data[start:])

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._json({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message} if code else {})

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _etag(path: str, content: Content) -> str:
    """As the hub's: the SHA-256 of large files, another hash of small ones."""
    data = content.read_bytes() if isinstance(content, Path) else content
    return (hashlib.sha256 if path.endswith(".safetensors") else hashlib.sha1)(data).hexdigest()
