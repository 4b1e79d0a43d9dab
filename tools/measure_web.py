"""The engine in the browser beside onnxruntime-web: python tools/measure_web.py --peer DIST [MODEL ...]

Both run in one page of Chromium, in turns, one thread each, on the same input. Each row is the median of several pages'
medians. DIST is node_modules/onnxruntime-web/dist of `npm install onnxruntime-web`; `make web`, playwright and Chromium must be
there. An integer model's peer runs its QDQ file.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.browsers import FLAGS, chromium, static_server

import mobilenet

PAGE = """<!doctype html><meta charset="utf-8"><title>measure</title><script type="module">
import { Engine } from "./m-web/mobilenet/engine.js";
import * as ort from "./peer/ort.wasm.min.mjs";
const { rounds } = Object.fromEntries(new URLSearchParams(location.search));
const folder = new URL("./m-web/", location.href), sides = {}, created = {};
async function side(name, make) {
  const start = performance.now();
  const run = await make();
  await run();
  created[name] = performance.now() - start;
  for (let i = 0; i < 4; i++) await run();
  sides[name] = { run, times: [] };
}
const card = await (await fetch("m-web/model.json")).json();
const [height, width] = card.resolution;
const input = Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i));
for (const isa of ["wasm", "wasmrelaxed"]) {
  await side(isa, async () => {
    const engine = await Engine.load(folder, { isa });
    return async () => engine.run(input);
  });
}
await side("onnxruntime-web", async () => {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("./peer/", location.href).href;
  const session = await ort.InferenceSession.create("m.onnx", { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const given = { [session.inputNames[0]]: new ort.Tensor("float32", input, [1, 3, height, width]) };
  return () => session.run(given);
});
for (let i = 0; i < rounds; i++) {
  for (const { run, times } of Object.values(sides)) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
}
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
const row = ([name, { times }]) => { const middle = median(times); return [name, [created[name], times[0], middle]]; };
window.result = Object.fromEntries(Object.entries(sides).map(row));
</script>"""


def measured(model: str, peer: Path, pages: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each side: to the first answer, the least, and the median."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mobilenet.export(model, "web", folder / "m-web")
        mobilenet.export(model, "onnx", folder / "m.onnx")
        shutil.copytree(peer, folder / "peer")
        (folder / "index.html").write_text(PAGE)
        found: dict[str, list[list[float]]] = {}
        with static_server(folder) as address, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
            for _ in range(pages):
                page = browser.new_page()
                page.on("pageerror", lambda error: sys.exit(f"failed: {error}"))
                page.goto(f"{address}?rounds={rounds}")
                page.wait_for_function("window.result !== undefined", timeout=600_000)
                for side, times in page.evaluate("window.result").items():
                    found.setdefault(side, []).append(times)
                page.close()
            browser.close()
        package = folder / "m-web" / "mobilenet"
        print(json.dumps({each.name: len(gzip.compress(each.read_bytes(), 9)) for each in sorted(package.glob("*.wasm"))}))
    kinds = ("first", "least", "median")
    return {
        side: {kind: round(statistics.median(times[i] for times in pages), 2) for i, kind in enumerate(kinds)}
        for side, pages in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine in the browser beside onnxruntime-web.")
    parser.add_argument("models", nargs="*", default=["imagenet"])
    parser.add_argument("--peer", type=Path, required=True, help="the folder dist of onnxruntime-web")
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    for model in given.models:
        sides = measured(model, given.peer, given.pages, given.rounds)
        for side, times in sides.items():
            ratio = times["median"] / sides["onnxruntime-web"]["median"]
            print(json.dumps({"model": model, "side": side, **times, "of onnxruntime-web": round(ratio, 3)}))


if __name__ == "__main__":
    main()
