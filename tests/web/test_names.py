"""The functions that the browser's package calls are those that the module for WebAssembly exports."""

from __future__ import annotations

import re

import build_web
from support.paths import ROOT


def test_the_module_exports_what_the_package_calls():
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "src/mobilenet/web/package").glob("*.js"))]
    called = {name for text in texts for name in re.findall(r'(?:core\.|")(mobilenet_\w+)', text)}
    assert len(called) > 8
    assert called <= set(build_web.EXPORTS), called - set(build_web.EXPORTS)
