"""A stand-in for the Hugging Face hub: as much of its HTTP API as its own library needs to push, and a reader to fetch."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Repositories in memory.

    Attributes:
        commits: for each repository its commits, oldest first: (id, files by name).
        objects: contents of large files by sha256.
        asked: method, path and Authorization of each request.
        token: which a request to write must have.
        tampers: changes the content of a file on its way to a reader.
    """

    def __init__(self) -> None:
        self.commits, self.objects, self.asked = {}, {}, []
        self.token, self.tampers, self.url, self.states_digests = "Bearer secret", lambda content: content, "", True

    def commit(self, repository, files):
        number = len(self.commits.setdefault(repository, []))
        before = self.commits[repository][-1][1] if number else {}
        commit = hashlib.sha1(f"{repository} {number}".encode()).hexdigest()
        self.commits[repository].append((commit, {**before, **files}))
        return commit

    def find(self, repository, revision):
        commits = self.commits.get(repository, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((each for each in commits if each[0] == revision), None)


def handler_of(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, value=None, status=200, content=None, headers=()):
            content = json.dumps(value).encode() if content is None else content
            self.send_response(status)
            for name, each in (("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers):
                self.send_header(name, each)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, self.body = self.path.partition("?")[0], body
            hub.asked.append((self.command, path, self.headers.get("Authorization")))
            writes = self.command != "GET" and "/cdn/" not in path
            if writes and self.headers.get("Authorization") != hub.token:
                return self.answer({"error": "Invalid username or password."}, 401)
            for method, pattern, function in TABLE:
                if method == self.command and (match := re.fullmatch(pattern, path)):
                    return function(self, *match.groups())
            self.answer({"error": f"no {self.command} {path}"}, 404)

        do_GET = do_POST = do_PUT = do_HEAD = handle_any

        def create(self):
            value = json.loads(self.body)
            name = f"{value['organization']}/{value['name']}" if value.get("organization") else value["name"]
            hub.commits.setdefault(name, [])
            self.answer({"url": f"{hub.url}/{name}"})

        def valid(self):
            self.answer({"errors": [], "warnings": []})

        def preupload(self, repository, revision):
            files = json.loads(self.body)["files"]
            large = (".safetensors", ".onnx", ".jpg")
            modes = [{"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(large) else "regular"} for f in files]
            self.answer({"files": [{**each, "shouldIgnore": False} for each in modes]})

        def batch(self, repository):
            objects = json.loads(self.body)["objects"]
            actions = [{"upload": {"href": f"{hub.url}/cdn/{each['oid']}"}} for each in objects]
            found = [{**each, "actions": action} for each, action in zip(objects, actions, strict=True)]
            self.answer({"transfer": "basic", "objects": found})

        def put(self, oid):
            assert hashlib.sha256(self.body).hexdigest() == oid
            hub.objects[oid] = self.body
            self.answer({})

        def commit(self, repository, revision):
            files = {}
            for line in self.body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                elif entry["key"] == "lfsFile":
                    files[entry["value"]["path"]] = hub.objects[entry["value"]["oid"]]
            commit = hub.commit(repository, files)
            self.answer({"success": True, "commitOid": commit, "commitUrl": f"{hub.url}/{repository}/commit/{commit}"})

        def revision(self, repository, revision):
            found = hub.find(repository, revision)
            if found is None:
                return self.answer({"error": "Repository or revision not found"}, 404)
            siblings = [
                {"rfilename": name, "size": len(content)}
                | ({"lfs": {"sha256": hashlib.sha256(content).hexdigest()}} if hub.states_digests else {})
                for name, content in found[1].items()
            ]
            self.answer({"id": repository, "sha": found[0], "siblings": siblings})

        def resolve(self, repository, revision, name):
            found = hub.find(repository, revision)
            if found is None or name not in found[1]:
                return self.answer({"error": "Entry not found"}, 404)
            oid = hashlib.sha256(found[1][name]).hexdigest()
            hub.objects[oid] = found[1][name]
            other_host = hub.url.replace("127.0.0.1", "localhost")
            self.answer({}, 302, headers=[("Location", f"{other_host}/cdn/{oid}")])

        def get(self, oid):
            self.answer(content=hub.tampers(hub.objects[oid]))

        def log_message(self, *arguments):
            pass

    repository, revision = r"([\w.-]+/[\w.-]+)", r"([^/]+)"
    TABLE = (
        ("POST", "/api/repos/create", Handler.create),
        ("POST", "/api/validate-yaml", Handler.valid),
        ("POST", f"/api/models/{repository}/preupload/{revision}", Handler.preupload),
        ("POST", rf"/{repository}\.git/info/lfs/objects/batch", Handler.batch),
        ("PUT", "/cdn/([0-9a-f]+)", Handler.put),
        ("POST", f"/api/models/{repository}/commit/{revision}", Handler.commit),
        ("GET", f"/api/models/{repository}/revision/{revision}", Handler.revision),
        ("GET", f"/api/models/{repository}", lambda self, name: self.revision(name, "main")),
        ("GET", f"/{repository}/resolve/{revision}/(.+)", Handler.resolve),
        ("GET", "/cdn/([0-9a-f]+)", Handler.get),
    )
    return Handler


@contextmanager
def serving():
    """A `Hub` behind a socket of this machine."""
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub)) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
