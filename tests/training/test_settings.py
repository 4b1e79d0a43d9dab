"""Recipes: complete, to JSON and back, changed by text with checked types and suggested names, shrunk."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny

from mobilenet.cli.train import train
from mobilenet.training.optim.ema import Averaging
from mobilenet.training.optim.optimizer import SGD, AdamW, RMSProp
from mobilenet.training.optim.schedule import Cosine, OneCycle
from mobilenet.training.recipes.builtin import RECIPES, find
from mobilenet.training.recipes.recipe import Recipe, Teacher, shrunk, with_settings


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name):
    """It has its function's name, survives JSON, and shrunk it is valid, small and for the same task."""
    recipe = find(name)
    assert recipe.name == name
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    small = shrunk(recipe)
    assert (small.task, small.epochs, small.limit, small.workers) == (recipe.task, 1, 16, 0)
    assert small.resolution <= 96
    assert small.preprocessing.size == (small.resolution, small.resolution)
    assert small.optimizer == recipe.optimizer
    assert f"``mobilenet train {name}" in (RECIPES[name].__doc__ or "") or "-m mobilenet train" in (
        RECIPES[name].__doc__ or ""
    ) or "`imagenette" in (RECIPES[name].__doc__ or "")  # fmt: skip
    assert name in (train.help or ""), "the command's help lists every recipe"


def test_the_papers_recipe_says_what_the_paper_says():
    recipe = find("imagenet_paper")
    assert recipe.optimizer == RMSProp(decay=0.9, momentum=0.9, epsilon=1.0)
    assert (recipe.lr, recipe.batch, recipe.weight_decay, recipe.decayed) == (0.045, 96, 4e-5, "dense")
    assert recipe.network.norm_momentum == pytest.approx(1 - 0.997)
    assert recipe.averaging == Averaging(0.9999, 1, True)
    network = recipe.network.network(recipe.resolution, 1000)
    assert (network.padding, network.settings.epsilon, len(network.parameters())) == ("tensorflow", 1e-3, 158)


def test_settings_from_text():
    recipe = find("imagenette")
    changed = with_settings(
        recipe,
        {"schedule.final": "0.5", "schedule": "cosine", "optimizer": "adamw", "optimizer.betas": "[0.8, 0.9]", "lr": "1",
         "averaging": "null", "width": "0.5", "network.settings.min_depth": "16", "augmentation.policy": "trivial",
         "workers": "0", "sizes": "[[0, 64], [0.5, 96]]"},
    )  # fmt: skip
    assert changed.optimizer == AdamW((0.8, 0.9))
    assert changed.schedule == Cosine(0.5)  # kinds first, then what belongs to them
    assert (changed.lr, changed.averaging, changed.workers) == (1.0, None, 0)
    assert changed.network.settings == {"width": 0.5, "min_depth": 16}
    assert changed.augmentation.policy == "trivial"
    assert [changed.side(epoch) for epoch in range(5)] == [64, 64, 64, 96, 96]
    assert replace(recipe, averaging=None) == with_settings(recipe, {"averaging": "null"})
    assert with_settings(replace(recipe, averaging=None), {"averaging.decay": "0.5"}).averaging == Averaging(0.5)
    assert with_settings(recipe, {"schedule": "onecycle", "schedule.rise": "0.4"}).schedule == OneCycle(rise=0.4)
    assert with_settings(recipe, {"teacher.model": "imagenet"}).teacher == Teacher("imagenet")


def test_resolution_changes_what_depends_on_it():
    recipe = with_settings(find("imagenet_modern"), {"resolution": "160"})
    assert (recipe.preprocessing.size, recipe.preprocessing.resize) == ((160, 160), 166)
    assert recipe.sizes == ((0.0, 128),)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("lrr", "1", "nearest: lr"),
        ("schedule.rice", "0.1", "nearest: rise"),
        ("schedule", "onecicle", "nearest: onecycle"),
        ("start", "0.1", "several places: name one of network.start, schedule.start, warmup.start"),
        ("epochs", "many", "recipe.epochs 'many': must be a whole number"),
        ("epochs", "2.5", "recipe.epochs 2.5: must be a whole number"),
        ("lr", "true", "recipe.lr True: must be a number"),
        ("compile", "1", "recipe.compile 1: must be true or false"),
        ("precision", "bf16", "nearest: bf16-mixed"),
        ("lr", "-1", "recipe.lr -1.0: must be above 0"),
        ("warmup.epochs", "5", "shorter than the run"),
        ("sizes", "[[0.1, 64]]", "sizes"),
        ("loss", "boxloss", "loss"),
        (
            "network.settings.classes",
            "3",
            "network.settings .*'classes': 3.*: must be without 'classes', which come from the data",
        ),
        ("network.architecture", "mobilenet_v3", "nearest: mobilenet_v"),
        ("network.settings.widht", "1", "nearest: width"),
        ("decayed", "nothing", "recipe.decayed 'nothing': must be 'dense' or 'weights'"),
        ("optimizer.momentum", '"a"', "recipe.optimizer.momentum 'a': must be a number"),
    ],
)
def test_wrong_settings_are_rejected_by_name(path, text, said):
    with pytest.raises(ValueError, match=said):
        with_settings(find("imagenette"), {path: text})


def test_json_that_is_no_recipe():
    data = find("imagenette").to_json()
    for broken, said in (
        ({**data, "more": 1}, "no setting of recipe is called 'more'"),
        ({key: value for key, value in data.items() if key != "epochs"}, "no 'epochs'"),
        ({**data, "optimizer": {"kind": "sgdd"}}, "nearest: sgd"),
        ([], r"recipe \[\]: must be"),
    ):
        with pytest.raises(ValueError, match=said):
            Recipe.from_json(broken)


def test_contradictions_are_rejected():
    for changes, said in (
        ({"resolution": 64}, "resolution 64"),
        ({"batch": 9, "accumulate": 2}, "accumulate 2: must be a divisor"),
        ({"optimizer": SGD(), "clip": 0.0}, "clip"),
        ({"score_epochs": 0}, "score_epochs"),
        (
            {"averaging": Averaging(start=0.5)},
            "averaging .*start=0.5.*: must be without a start if weights start at random; set network.start",
        ),
    ):
        with pytest.raises(ValueError, match=said):
            tiny(**changes)
