"""Models to a hub and from it: pinned by revision and digest, cached, and verified whenever they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.cli import run
from support.hub_server import serving
from support.models import IMAGE, detector, toy

import mobilenet
from mobilenet import modelfile
from mobilenet.errors import MobilenetError
from mobilenet.zoo.carriers import FetchError
from mobilenet.zoo.hub import hub_file
from mobilenet.zoo.load import load_model


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "secret")
        monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "cache"))
        yield hub


def content_of(model, folder):
    path = folder / "made.safetensors"
    modelfile.write(model, path)
    return path.read_bytes()


def test_a_model_is_pinned_on_first_use(hub, tmp_path):
    first = hub.commit("ann/pets", {"model.safetensors": content_of(toy(), tmp_path)})
    assert len(mobilenet.load("hf://ann/pets", threads=1)(IMAGE).labels) == 3
    assert {each[2] for each in hub.asked if "/cdn/" in each[1]} == {None}, "the token goes to the hub only"
    assert {each[2] for each in hub.asked if "/cdn/" not in each[1]} == {"Bearer secret"}
    second = hub.commit("ann/pets", {"model.safetensors": content_of(toy(classes=2), tmp_path)})
    num_asked = len(hub.asked)
    assert len(mobilenet.load("hf://ann/pets").labels) == 3, "pinned"
    assert len(hub.asked) == num_asked, "from the cache"
    assert len(mobilenet.load("hf://ann/pets@main").labels) == 2, "a branch is asked for"
    assert len(mobilenet.load(f"hf://ann/pets@{first}").labels) == 3
    assert len(mobilenet.load(f"hf://ann/pets@{second}").labels) == 2
    stdout, _ = run("info", "hf://ann/pets")
    assert "3 classes" in stdout


def test_a_known_revision_needs_no_hub(hub, tmp_path, monkeypatch):
    commit = hub.commit("ann/pets", {"model.safetensors": content_of(toy(), tmp_path)})
    for name in ("hf://ann/pets", f"hf://ann/pets@{commit}", "hf://ann/pets@main"):
        load_model(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    lines = []
    for name in ("hf://ann/pets", f"hf://ann/pets@{commit}", "hf://ann/pets@main"):
        assert len(load_model(name, lines.append).labels) == 3
    assert len(lines) == 1
    assert "as the last time" in lines[0]
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9 unreachable"):
        load_model("hf://ann/others")


def test_what_was_changed_on_the_way_is_not_used(hub, tmp_path):
    hub.commit("ann/pets", {"model.safetensors": content_of(toy(), tmp_path)})
    hub.tampers = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(FetchError, match="it is not used"):
        load_model("hf://ann/pets")
    hub.tampers = lambda content: content
    path = hub_file("hf://ann/pets")
    path.write_bytes(path.read_bytes()[:-1])
    lines = []
    assert len(load_model("hf://ann/pets", lines.append).labels) == 3
    assert "fetching it again" in lines[0]


def test_without_a_stated_digest_the_first_use_is_pinned(hub, tmp_path):
    hub.states_digests = False
    hub.commit("ann/pets", {"model.safetensors": content_of(toy(), tmp_path)})
    path = hub_file("hf://ann/pets")
    path.unlink()
    hub.tampers = lambda content: content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(FetchError, match="it is not used"):
        load_model("hf://ann/pets")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://pets", "hf://user/name"),
        ("hf://../../etc", "hf://user/name"),
        ("hf://ann/pets@../../x", "hf://user/name"),
        ("hf://ann/pets.safetensors?x", "hf://user/name"),
        ("hf://ann/nothing", "answered 404"),
        ("hf://ann/empty", "no model.safetensors"),
        ("hf://ann/broken", "hf://ann/broken: "),
    ],
)
def test_an_address_without_a_model_is_one_clear_error(hub, name, words):
    hub.commit("ann/empty", {"README.md": b"nothing"})
    hub.commit("ann/broken", {"model.safetensors": b"no model"})
    with pytest.raises(MobilenetError) as caught:
        load_model(name)
    assert words in str(caught.value)


def test_a_run_is_pushed_by_the_hubs_own_library_and_loaded_again(hub, tmp_path):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed; it comes with mobilenet[hub]")
    folder, photo = tmp_path / "pets", tmp_path / "photo.png"
    folder.mkdir()
    modelfile.write(detector(), folder / "model.safetensors")
    (folder / "recipe.json").write_text('{"epochs": 7, "optimizer": {"learning_rate": 0.1}}')
    (folder / "model.onnx").write_bytes(b"exported")
    IMAGE.save(photo)
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-m", "mobilenet", "push", str(folder), "ann/pets", "--samples", str(photo)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ((commit, files),) = hub.commits["ann/pets"]
    assert done.stdout == f"hf://ann/pets@{commit}\n"
    assert set(files) == {"model.safetensors", "model.onnx", "README.md", "index.html", "samples/1-photo.jpg"}
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    card = files["README.md"].decode()
    for words in (
        'mobilenet.load("hf://ann/pets")',
        "pipeline_tag: object-detection",
        "recipe: optimizer.learning\\_rate | 0.1",
    ):
        assert words in card
    loaded, local = mobilenet.load(done.stdout.strip()), mobilenet.load(str(folder / "model.safetensors"))
    assert loaded(IMAGE, threshold=0.1) == local(IMAGE, threshold=0.1)
    _, refused = run("push", folder, "ann/pets", status=1)  # in this process the hub's library is told that it is offline
    assert "HF_TOKEN" in refused
    assert refused.count("\n") == 1
    assert len(hub.commits["ann/pets"]) == 1
