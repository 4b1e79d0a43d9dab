"""The files that an export for the browser is made of, as bytes: the npm package, and the page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files

from ..errors import MobilenetError
from ..serving.page import INDEX, Words, index, page_files

PACKAGE = "mobilenet"
"""The folder of the npm package in an export."""
CORES = ("mobilenet-simd.wasm", "mobilenet-relaxed.wasm")
OFFLINE = "offline.js"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
WORDS = Words(
    promise="Your images stay on this device.",
    links="",
    loading="Loading the model",
    without_scripts="This page needs JavaScript.",
    head=f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
)


class NoCoreError(MobilenetError):
    """This installation was built without the core for WebAssembly."""


def package_files() -> dict[str, bytes]:
    """Every file of the npm package by name.

    Raises:
        NoCoreError: the core for WebAssembly is not there.
    """
    found = {item.name: item.read_bytes() for item in (files(__package__) / "package").iterdir()}
    if CORES[0] not in found:
        raise NoCoreError(
            "format web: this installation has no core for WebAssembly; in a checkout run `make web` (it names the compilers "
            "that serve), then install it again"
        )
    if CORES[1] not in found:  # of a compiler without relaxed SIMD: one module serves all
        found[CORES[1]] = found[CORES[0]]
    return dict(sorted(found.items()))


def page(bundle: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the page beside those of an export, `bundle`, by their paths in the folder."""
    own = {item.name: item.read_bytes() for item in (files(__package__) / "page").iterdir() if item.name != OFFLINE}
    made = {**page_files(), **own, INDEX: index(WORDS)}
    names = sorted(name for name in (*made, *bundle) if name != f"{PACKAGE}/package.json" and not name.endswith(".d.ts"))
    digest = hashlib.sha256()
    for name in names:
        content = made.get(name) or bundle[name]
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    kept = json.dumps({"version": digest.hexdigest()[:16], "files": ["./", *names]}, indent=1)
    offline = (files(__package__) / "page" / OFFLINE).read_text("utf-8")
    made[OFFLINE] = f"const KEPT = {kept};\n{offline}".encode()
    return made
