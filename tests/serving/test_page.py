"""The page in Chromium: the three tasks, the camera, keyboard and screen reader, and nothing asked of other hosts."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image
from support.paths import ROOT
from support.serving import file_of, listening, need_packages, state_of

need_packages()
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("chromium is not installed (on Debian: apt install chromium)", allow_module_level=True)
PHOTO = ROOT / "photos" / "cat.jpg"
AXE = os.environ.get("MOBILENET_AXE")
"""The file axe.min.js of the npm package axe-core, which checks accessibility."""


@pytest.fixture(scope="module")
def address(imagenet, coco, voc_small):
    state = state_of({name: name for name in ("imagenet", "coco", "voc-small")}, max_body_bytes=300_000)
    with listening(state) as (host, port):
        yield f"http://{host}:{port}/"


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page on a phone in the dark; no request may leave for another host, and the console stays silent."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page, told, asked = context.new_page(), [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#models input")
    yield page
    assert all(url.startswith((address, "blob:")) for url in asked), asked
    assert [text for text in told if "status of 4" not in text] == []
    context.close()


def predictions(page):
    page.wait_for_selector("#predictions li")
    return [row.inner_text().split("\n")[0] for row in page.query_selector_all("#predictions li")]


def colors(page):
    """The number of colors in the canvas."""
    script = (
        "() => { const canvas = document.getElementById('canvas'); const pen = canvas.getContext('2d');"
        "const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);"
        "return new Set(new Uint32Array(data.buffer)).size; }"
    )
    return page.evaluate(script)


def test_a_photo_is_answered_by_all_three_models(page):
    start = time.monotonic()
    page.set_input_files("#file", PHOTO)
    assert predictions(page)[0] == "Egyptian cat"
    assert time.monotonic() - start < 3  # under a second where nothing else runs
    assert colors(page) > 1000
    assert "Egyptian cat 71 %" in page.get_attribute("#canvas", "aria-label")
    assert "Egyptian cat" in page.inner_text("#said")
    page.focus("#models input:checked")
    page.keyboard.press("ArrowRight")  # coco
    page.wait_for_function("() => document.querySelector('#predictions li')?.innerText.startsWith('cat')")
    page.focus("#threshold")
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelectorAll('#predictions li').length === 0")
    assert page.inner_text("#nothing") == "Nothing above the least score."
    page.keyboard.press("Home")
    assert "cat" in predictions(page)
    page.check("input[value=voc-small]")
    page.wait_for_function("() => document.querySelector('#predictions li')?.innerText.includes('of the image')")
    assert "cat" in predictions(page)
    if AXE is None:
        return
    page.evaluate(Path(AXE).read_text("utf-8"))
    assert page.evaluate("axe.run().then((found) => found.violations)") == []


def test_wrong_files_are_refused_in_words(page):
    page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"})
    page.wait_for_selector("#error:not([hidden])")
    assert "notes.txt cannot be shown" in page.inner_text("#error")
    noise = Image.effect_noise((700, 700), 100)
    page.set_input_files("#file", {"name": "large.png", "mimeType": "image/png", "buffer": file_of(noise)})
    page.wait_for_function("() => document.getElementById('error').innerText.includes('--max-body')")


def test_the_camera_is_answered_again_and_again(page):
    page.click("#camera")
    page.wait_for_function("() => document.getElementById('figures').innerText.includes('images/s')")
    assert page.get_attribute("#camera", "aria-pressed") == "true"
    first = page.get_attribute("#canvas", "aria-label")
    assert first.startswith("Camera.")
    page.click("#camera")
    assert page.get_attribute("#camera", "aria-pressed") == "false"
    assert page.evaluate("document.getElementById('video').srcObject") is None
