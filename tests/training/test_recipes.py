"""Recipes by name, by file and by guess: what the command lists, prints and understands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.paths import ROOT

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from mobilenet.cli.main import main  # noqa: E402
from mobilenet.errors import UsageError  # noqa: E402
from mobilenet.settings import assignments, paths  # noqa: E402
from mobilenet.training.recipes import names  # noqa: E402
from mobilenet.training.recipes.builtin import RECIPES  # noqa: E402
from mobilenet.training.recipes.find import find  # noqa: E402
from mobilenet.training.recipes.recipe import Recipe, with_settings  # noqa: E402

OWN = """
from dataclasses import replace
from mobilenet.training.recipes.builtin import shapes_classify, shapes_detect
from mobilenet.training.recipes.recipe import Recipe

def mine() -> Recipe:
    return replace(shapes_classify(), name="mine", lr=0.002)

def helper():
    return 1
"""


def command(*words: str) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_list_has_every_recipe_with_what_was_measured():
    found = {entry["name"]: entry for entry in json.loads(command("recipes", "--json"))}
    assert found.keys() == {"finetune", *RECIPES}
    assert found["imagenette"]["start"] is None
    assert len(found["imagenette"]["reached"]) == 3
    assert found["coco_ssdlite"]["reached"] == [], "its runs changed settings"
    assert all(entry["summary"].endswith(".") and len(entry["summary"]) > 20 for entry in found.values())
    table = command("recipes")
    assert re.search(r"imagenette +classification .*top1 0.79\d in \d min, 3 seeds", table)


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_printed_is_the_recipe(name):
    """Every printed line can be given to --set: all of them together make the recipe out of another one."""
    lines = command("train", name, "--print").splitlines()
    printed = dict(line.split("=", 1) for line in lines)
    assert printed == dict(assignments(find(name).to_json()))
    assert with_settings(find(name), printed) == find(name)


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ("learning_rate=0.5", "lr", 0.5),
        ("batch-size=4", "batch", 4),
        ("max_epochs=3", "epochs", 3),
        ("num_workers=1", "workers", 1),
        ("imgsz=48", "resolution", 48),
        ("label_smoothing=0.2", "loss.smoothing", 0.2),
        ("optim=sgd", "optimizer", "sgd"),
        ("width_mult=0.5", "network.settings.width", 0.5),
    ],
)
def test_names_that_people_guess_are_understood(given, path, value):
    printed = dict(line.split("=", 1) for line in command("train", "shapes_classify", "--print", "--set", given).splitlines())
    assert printed[path] == str(value)


def test_every_alias_leads_to_a_setting():
    every = {path for make in RECIPES.values() for path in paths(make().to_json())}
    assert set(names.ALIASES.values()) <= every
    assert not (names.ALIASES.keys() | names.ANSWERS.keys()) & find("shapes_classify").to_json().keys()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "amp=true"], "chosen by precision: bf16-mixed or 32-true"),
        (["--set", "num_classes=3"], "the classes come from the labels"),
        (["--set", "lr=1", "--set", "learning_rate=2"], "'lr' and 'learning_rate' are the same, lr; give one"),
        (["--set", "epochs=0"], "recipe.epochs 0: must be at least 1"),
    ],
)
def test_wrong_settings_are_answered(words, said):
    done = CliRunner().invoke(main, ["train", "shapes_classify", "--print", *words])
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_recipe_of_ones_own(tmp_path, monkeypatch):
    file = tmp_path / "my_recipe.py"
    file.write_text(OWN)
    for place in (str(file), f"{file}:mine"):
        assert find(place).name == "mine"
        assert "lr=0.002" in command("train", place, "--print").splitlines()
    monkeypatch.chdir(tmp_path)
    assert find("my_recipe:mine").lr == 0.002
    (tmp_path / "recipe.json").write_text(json.dumps(find("imagenette").to_json()))
    assert find("recipe.json") == find("imagenette")
    second = OWN.replace("def helper()", "def other() -> Recipe")
    for content, name, said in (
        (second, "a.py", r"has 2 recipes; choose one, a.py:mine or a.py:other"),
        ("x = 1", "b.py", "has no function without parameters"),
        ("def f(: pass", "c.py", "cannot be loaded .SyntaxError"),
        (OWN, "d.py:helper", "is 1; it must be a Recipe"),
        (OWN.replace("lr=", "lrr="), "e.py", "lrr"),
        (OWN, "f.py:min", "nearest: mine"),
    ):
        Path(name.partition(":")[0]).write_text(content)
        with pytest.raises(UsageError, match=said):
            find(name)
    for name, said in (("missing.py", "no such file"), ("a.json", "cannot be read"), ("imagenete", "nearest: imagenette")):
        with pytest.raises(UsageError, match=said):
            find(name)


def test_the_recipe_of_the_how_to_page_trains(tmp_path):
    page = (ROOT / "docs" / "how-to" / "recipe.md").read_text("utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    file = tmp_path / "my_recipe.py"
    file.write_text(next(block for block in blocks if block.startswith('"""')))
    recipe = find(str(file))
    assert isinstance(recipe, Recipe)
    done = CliRunner().invoke(
        main, ["train", str(file), "--out", str(tmp_path / "run"), "--smoke", "--log", "csv"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["name"] == recipe.name


def test_a_run_needs_a_folder():
    done = CliRunner().invoke(main, ["train", "shapes_classify"])
    assert (done.exit_code, "--out: the run needs a folder" in done.output) == (2, True)
