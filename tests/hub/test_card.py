"""Model cards: made from the model file, safe whatever its labels hold."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from support.cli import run
from support.models import IMAGE, detector, segmenter, toy
from support.small import small

from mobilenet import modelfile
from mobilenet.values import replace

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")


@pytest.mark.parametrize(
    ("model", "tag"), [(toy, "image-classification"), (detector, "object-detection"), (segmenter, "image-segmentation")]
)
def test_a_card_says_what_the_model_is(tmp_path, model, tag):
    file = tmp_path / "pets.safetensors"
    modelfile.write(model(), file)
    text, _ = run("card", file)
    front = yaml.safe_load(text.split("---")[1])
    assert front["pipeline_tag"] == tag
    assert front["license"] == "other"
    assert front["library_name"] == "mobilenet"
    assert hashlib.sha256(file.read_bytes()).hexdigest() in text
    info = json.loads(run("info", file, "--json")[0])
    assert f"| Parameters | {info['params']:,} |" in text
    assert "No accuracy is recorded" in text
    assert "nothing of a license" in text
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, "card", "exec")


def test_a_run_and_its_samples(tmp_path):
    folder, out = tmp_path / "pets", tmp_path / "card"
    folder.mkdir()
    modelfile.write(small(), folder / "model.safetensors")
    (folder / "recipe.json").write_text('{"epochs": 7, "data": {"batch": 64}}')
    for number in range(6):
        IMAGE.save(tmp_path / f"image {number}.png")
    images = [item for number in range(6) for item in ("--samples", tmp_path / f"image {number}.png")]
    stdout, _ = run("card", folder, "--out", out, *images)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == ["README.md", "index.html", *(f"samples/{n + 1}-image-{n}.jpg" for n in range(4))]
    assert len(stdout.splitlines()) == len(names)
    text = (out / "README.md").read_text("utf-8")
    assert "| recipe: data.batch | 64 |" in text
    assert "| top1 | 0.5000, when the file was made |" in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "apache-2.0"
    for name in re.findall(r"\]\((samples/[^)]+)\)", text):
        with Image.open(out / name) as drawn:
            assert drawn.size == IMAGE.size
    assert (out / "index.html").read_bytes().count(b"data:image/jpeg;base64,") == 4


def test_labels_are_text_in_markdown_and_html(tmp_path):
    hostile = ("<script>alert(1)</script>", "[x](https://evil.example) | y", "a\n---\n# b")
    modelfile.write(replace(small(), labels=hostile), tmp_path / "m.safetensors")
    run("card", tmp_path / "m.safetensors", "--out", tmp_path / "card")
    text = (tmp_path / "card" / "README.md").read_text("utf-8")
    assert "<script" not in text.replace("\\<script", "")
    assert "\\[x\\](" in text
    assert "\n# b" not in text
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.feed((tmp_path / "card" / "index.html").read_text("utf-8"))
    assert "script" not in tags


def test_wrong_uses(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no model.safetensors" in run("card", tmp_path / "empty", status=1)[1]
    assert "is not there" in run("card", tmp_path / "no.safetensors", status=1)[1]
    modelfile.write(toy(), tmp_path / "m.safetensors")
    assert "--out" in run("card", tmp_path / "m.safetensors", "--samples", "x.png", status=2)[1]
    assert "file" in run("card", tmp_path / "m.safetensors", "--out", tmp_path / "m.safetensors", status=2)[1]
    assert "user/name" in run("push", tmp_path / "m.safetensors", "pets", status=2)[1]
