"""The grid of trainings: its runs are recipes that differ in what they compare, and a killed grid goes on where it stopped."""

from __future__ import annotations

import json

import pytest

from mobilenet.errors import MobilenetError
from mobilenet.paper.studies import grid
from mobilenet.paper.studies.grid import Run, append, missing, rows_of, runs, train_missing, whole_grid


def test_the_grid_names_each_run_once_and_begins_with_the_ablations():
    every = whole_grid()
    assert len({run.name for run in every}) == len(every)
    kinds = ["", "-relu6", "-expansion-shortcut", "-no-shortcut"]
    assert [run.name for run in every[:5]] == [*(f"w0.5-64{kind}-seed0" for kind in kinds), "w0.5-64-seed1"]
    seeds = {run.variant.name: run.variant.seeds for run in every}
    assert min(seeds.values()) >= 3


def test_every_variant_is_a_recipe_and_an_ablation_differs_in_one_setting():
    pytest.importorskip("torch")
    from mobilenet.training.run.folder import flat_settings

    base = flat_settings(grid.recipe_of(Run(grid.BASE_VARIANT, 0)).to_json())
    for variant in grid.ABLATIONS[1:]:
        other = flat_settings(grid.recipe_of(Run(variant, 0)).to_json())
        changed = {key for key in {**base, **other} if base.get(key) != other.get(key)}
        assert len(changed) == 1, (variant.name, changed)
    for (width, t), variant in grid.EXPANDED.items():
        network = grid.recipe_of(Run(variant, 0)).network.network(64, 10)
        settings = network.settings.to_json()
        assert settings["width"] == float(width)
        inner = {layer.out_channels / layer.in_channels for layer in network.layers if layer.name.endswith(".expand")}
        assert inner == (set() if t == "1" else {float(t)}) or width == "0.35", (width, t, inner)
    for variant in (grid.V1_THIN, grid.V1_SHALLOW):
        assert grid.recipe_of(Run(variant, 0)).network.network(64, 10).architecture == "mobilenet_v1"
    assert grid.recipe_of(Run(grid.SIZES["1.0", "128"], 2)).seed == 2


def test_a_killed_grid_goes_on_with_what_has_no_row(tmp_path, monkeypatch):
    results, trained = tmp_path / "results", list[str]()
    results.mkdir()

    def train_one(run, data, folder, checkout):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(run.name)
        folder.mkdir(parents=True)
        return {"run": run.name, "set": run.settings, "seed": run.seed, "top1": 0.5, "seconds": 1.0}

    monkeypatch.setattr(grid, "train_one", train_one)
    wanted = runs(grid.DEPTHS)[:5]
    with pytest.raises(KeyboardInterrupt):
        train_missing(wanted, tmp_path, results, tmp_path / "work", lambda _: None)
    assert trained == [run.name for run in wanted[:2]]
    assert not list((tmp_path / "work").iterdir())
    with (results / "paper_runs.jsonl").open("a") as file:  # a kill in the middle of a line
        file.write('{"run": "v1-0.75-64-se')
    assert len(missing(rows_of(results), wanted)) == 3
    trained.clear()
    monkeypatch.setattr(grid, "train_one", lambda run, *_: {"run": run.name, "set": run.settings, "top1": 1, "seconds": 2})
    made = train_missing(wanted, tmp_path, results, tmp_path / "work", lambda _: None)
    assert [row["run"] for row in made] == [run.name for run in wanted[2:]]
    assert missing(rows_of(results), wanted) == []


def test_a_training_that_stops_says_how_the_grid_goes_on(tmp_path, monkeypatch):
    def train_one(*_: object) -> None:
        error = MobilenetError("stopped by SIGINT after step 7 of 9; the score so far; continue with --resume --out x")
        error.status = 130
        raise error

    monkeypatch.setattr(grid, "train_one", train_one)
    with pytest.raises(
        MobilenetError, match="seed0: stopped by SIGINT after step 7 of 9; give the same command again"
    ) as caught:
        train_missing(runs(grid.DEPTHS), tmp_path, tmp_path, tmp_path / "work", lambda _: None)
    assert caught.value.status == 130


def test_a_row_of_other_settings_is_no_row_of_the_run(tmp_path):
    run = Run(grid.BASE_VARIANT, 0)
    append(tmp_path, {"run": run.name, "set": {**run.settings, "epochs": "1"}, "top1": 0.1})
    assert missing(rows_of(tmp_path), [run]) == [run]
    append(tmp_path, {"run": run.name, "set": run.settings, "top1": 0.2})
    assert missing(rows_of(tmp_path), [run]) == []
    assert len((tmp_path / "paper_runs.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "paper_runs.jsonl").read_text().splitlines()[0])["top1"] == 0.1
