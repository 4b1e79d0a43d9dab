"""The page without a server, in Chromium: names, boxes and masks, the camera, and no network after the first visit."""

from __future__ import annotations

import gzip
import shutil

import pytest
from support.browsers import FLAGS, chromium, need_web_core, static_server
from support.paths import ROOT

import mobilenet
from mobilenet.exports.exporter import Content
from mobilenet.exports.web_file import WebExporter

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")
MAX_CORE_BYTES = 60 * 1024
"""Of the module, gzipped."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, imagenet, coco, voc_small):
    need_web_core()
    top = tmp_path_factory.mktemp("pages")
    for model, name, precision in ((imagenet, "imagenet", "fp32"), (coco, "coco", "fp16"), (voc_small, "voc-small", "fp16")):
        (top / f"{name}-web").mkdir()
        WebExporter().write(Content(model, precision, page=True), top / f"{name}-web")
    shutil.copytree(ROOT / "photos", top / "photos")
    return top


@pytest.fixture(scope="module")
def browser():
    path = chromium()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    yield context
    context.close()


def opened(context, address):
    """A page that is ready. The console stays silent, and no request leaves for another host."""
    page, told = context.new_page(), []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#models input", timeout=60_000)
    return page, told


def first(page):
    page.wait_for_selector("#predictions li", timeout=60_000)
    return page.inner_text("#predictions li").split("\n")


@pytest.mark.parametrize(
    ("model", "label"), [("imagenet", "Egyptian cat"), ("coco", "cat"), ("voc-small", "cat")], ids=lambda value: value
)
def test_a_photo_is_answered(context, folder, model, label):
    with static_server(folder) as address:
        page, told = opened(context, f"{address}{model}-web/")
        page.set_input_files("#file", ROOT / "photos" / "cat.jpg")
        assert first(page)[0] == label
        assert told == []


def test_percentages_are_those_of_predict(context, folder, imagenet):
    script = (
        "async () => { const { load } = await import('./mobilenet/mobilenet.js'); const model = await load('.');"
        "const found = {}; for (const name of ['cat', 'coffee', 'rocket']) {"
        "const file = await (await fetch(`../photos/${name}.jpg`)).blob();"
        "found[name] = (await model.predict(file)).predictions; } return found; }"
    )
    predictor = mobilenet.load(imagenet, fast_decoding=False)
    with static_server(folder) as address:
        page, _ = opened(context, f"{address}imagenet-web/")
        answers = page.evaluate(script)
    for name, found in answers.items():
        for each, expected in zip(found, predictor(ROOT / "photos" / f"{name}.jpg"), strict=True):
            assert each["label"] == expected.label
            assert 100 * each["score"] == pytest.approx(100 * expected.score, abs=0.1)


def test_the_page_works_without_a_network(context, folder):
    with static_server(folder) as address:
        page, _ = opened(context, f"{address}imagenet-web/")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.wait_for_function(
            "() => caches.keys().then(async ([name]) => (await (await caches.open(name)).keys()).length > 15)"
        )
        page.close()
    page, told = opened(context, f"{address}imagenet-web/")  # the server is gone
    page.click("[data-sample='cat.jpg']")
    assert first(page)[0] == "Egyptian cat"
    assert told == []


def test_the_camera_is_answered_again_and_again(context, folder):
    with static_server(folder) as address:
        page, told = opened(context, f"{address}imagenet-web/")
        page.click("#camera")
        page.wait_for_function("() => document.getElementById('figures').innerText.includes('images/s')", timeout=60_000)
        assert page.get_attribute("#canvas", "aria-label").startswith("Camera.")
        page.click("#camera")
        assert told == []


def test_the_core_is_a_small_download(folder):
    for name in ("mobilenet-simd.wasm", "mobilenet-relaxed.wasm"):
        module = (folder / "imagenet-web" / "mobilenet" / name).read_bytes()
        assert len(gzip.compress(module, 9)) < MAX_CORE_BYTES
