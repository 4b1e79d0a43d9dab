"""The core in Firefox, by both modules: the bits of the engine. Firefox needs no driver: its page sends what it computed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import ThreadingHTTPServer

import numpy as np
import pytest
from support.browsers import Quiet, need_web_core
from support.models import IMAGE, toy

import mobilenet
from mobilenet.engine.native import Native
from mobilenet.exports.exporter import Content
from mobilenet.exports.web_file import WebExporter

SIDE = 32
PAGE = """<!doctype html><meta charset="utf-8"><title>bits</title><script type="module">
const found = {};
try {
  const { Engine } = await import("./fp32/mobilenet/engine.js");
  const input = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => ((i * 7919) % 4096) / 2048 - 1);
  for (const model of ["fp32", "int8"]) {
    for (const isa of ["wasm", "wasmrelaxed"]) {
      const engine = await Engine.load(new URL(`./${model}/`, location.href), { isa });
      found[`${model} ${isa}`] = Array.from(new Uint32Array(Object.values(engine.run(input))[0].buffer));
    }
  }
} catch (error) {
  found.error = String(error);
}
await fetch("./found", { method: "POST", body: JSON.stringify(found) });
</script>"""


class Listener(Quiet):
    """Keeps what the page sends."""

    found: dict[str, object] = {}  # noqa: RUF012
    done = threading.Event()

    def do_POST(self) -> None:
        self.found.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.done.set()


def test_firefox_has_the_bits_of_the_engine(tmp_path, monkeypatch):
    need_web_core()
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    if firefox is None:
        pytest.skip("Firefox is not installed (on Debian: apt install firefox-esr)")
    model = toy(7)
    IMAGE.save(tmp_path / "image.png")
    models = {"fp32": model, "int8": mobilenet.quantize(model, [tmp_path / "image.png"]).model}
    for precision, each in models.items():
        (tmp_path / precision).mkdir()
        WebExporter().write(Content(each, precision=precision), tmp_path / precision)
    (tmp_path / "index.html").write_text(PAGE.replace("SIDE", str(SIDE)))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Listener, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        profile = tmp_path / "profile"
        profile.mkdir()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        command = [firefox, "--headless", "--no-remote", "--profile", str(profile), address]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, env={**os.environ, "HOME": str(profile)}, **quiet)
        try:
            assert Listener.done.wait(90)
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
    x = ((np.arange(3 * SIDE * SIDE) * 7919 % 4096) / 2048 - 1).astype(np.float32).reshape(1, 3, SIDE, SIDE)
    assert set(Listener.found) == {f"{model} {isa}" for model in models for isa in ("wasm", "wasmrelaxed")}, Listener.found
    for isa, same in (("wasm", "portable"), ("wasmrelaxed", "avx2")):
        monkeypatch.setenv("MOBILENET_ISA", same)
        for precision, each in models.items():
            (expected,) = Native(each.network, each.tensors, quantization=each.quantization)(x).values()
            assert Listener.found[f"{precision} {isa}"] == np.ravel(expected).view(np.uint32).tolist()
