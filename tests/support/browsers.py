"""Exports for the browser under test: what they need is installed, and folders are served as a static server would."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mobilenet.web.files import NoCoreError, package_files

FLAGS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


def need_web_core() -> None:
    try:
        package_files()
    except NoCoreError:
        pytest.skip("the core for WebAssembly is not built (make web)")


def need_node() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed (on Debian: apt install nodejs)")


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed (on Debian: apt install chromium)")
    return found


@contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """The address of a server of plain files, which tells every browser to ask again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing, and knows the types that a module and a WebAssembly file need."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".wasm": "application/wasm"}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        pass
