"""Which models a run keeps, when it ends before its last epoch, and how it goes on with more epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import log_of, tiny

from mobilenet import modelfile
from mobilenet.cli.main import main
from mobilenet.errors import UsageError
from mobilenet.training.optim.ema import Averaging
from mobilenet.training.optim.schedule import Constant, Cosine, Warmup
from mobilenet.training.recipes.recipe import GeneratedShapes
from mobilenet.training.run import checkpoint, loop
from mobilenet.training.run.best import Best
from mobilenet.training.run.checkpoint import TrainingError
from mobilenet.training.run.scoring import Evaluation

pytestmark = pytest.mark.usefixtures("quick_run")


def short(**changes):
    """One step of 8 images in an epoch."""
    return tiny(**{"shapes": GeneratedShapes(train=8, val=4, size=32), "schedule": Constant(), **changes})


def train(folder: Path, recipe, resume: bool = False) -> None:
    loop.train(recipe, None, folder, resume, "cpu", loggers=())


@pytest.fixture
def scored(monkeypatch):
    """Scores as a test gives them, one after another."""
    values = list[float]()
    monkeypatch.setattr(loop, "evaluate_network", lambda *_, **__: Evaluation({"top1": values.pop(0), "top5": 1.0}, 4, [], []))
    return values


def steps_of(folder: Path) -> dict[str, tuple[object, object]]:
    models = {name: modelfile.read(folder / f"{name}.safetensors") for name in ("model", "last")}
    return {name: (model.provenance["step"], model.metrics["top1"]) for name, model in models.items()}


def test_a_start_that_no_training_made_better_is_kept_and_the_user_is_told(tmp_path, scored, capsys):
    scored += [0.5, 0.25, 0.25]
    train(tmp_path, short(epochs=2, score_start=True))
    assert steps_of(tmp_path) == {"model": (0, 0.5), "last": (2, 0.25)}
    wanted = "model.safetensors is the start as it was: no later score is above its top1 0.5000 after epoch 0"
    assert wanted in capsys.readouterr().err


def test_the_best_score_is_kept_and_of_equal_ones_the_later(tmp_path, scored, capsys):
    scored += [0.25, 0.5, 0.25, 0.5, 0.25]
    train(tmp_path, short(epochs=5))
    assert steps_of(tmp_path) == {"model": (4, 0.5), "last": (5, 0.25)}
    assert "model.safetensors has the best score, top1 0.5000 after epoch 4" in capsys.readouterr().err
    scored += [0.25]
    train(tmp_path, short(epochs=5), resume=True)
    assert steps_of(tmp_path) == {"model": (4, 0.5), "last": (5, 0.25)}, "a finished run that is resumed changes nothing"


def test_a_start_that_nothing_betters_stays(tmp_path, scored):
    scored += [0.75, 0.5, 0.25]
    train(tmp_path, short(score_start=True))
    assert steps_of(tmp_path) == {"model": (0, 0.75), "last": (2, 0.25)}


def test_nothing_to_measure_is_the_lowest_score():
    best = Best.after(None, 1, None)
    assert best == Best(1, -1.0, 1)
    assert Best.after(best, 2, 0.0) == Best(2, 0.0, 2)
    assert Best.after(Best.after(best, 2, 0.5), 3, 0.5) == Best(3, 0.5, 2)


def test_patience_ends_a_run_and_more_of_it_goes_on(tmp_path, scored, capsys):
    scored += [0.25, 0.5, 0.5, 0.25, 0.25]
    recipe = short(epochs=9, patience=3)
    train(tmp_path, recipe)
    assert steps_of(tmp_path) == {"model": (3, 0.5), "last": (5, 0.25)}, "equal scores are no better ones"
    assert "no better score in 3 epochs: the run ends; --resume --set patience=null goes on" in capsys.readouterr().err
    scored += [0.25]
    train(tmp_path, recipe, resume=True)
    assert [line["step"] for line in log_of(tmp_path) if "metrics" in line] == [1, 2, 3, 4, 5]
    scored += [0.25, 0.75, 0.25, 0.25]
    train(tmp_path, short(epochs=9), resume=True)
    assert steps_of(tmp_path) == {"model": (7, 0.75), "last": (9, 0.25)}


def test_a_removed_model_comes_back_with_the_next_score(tmp_path, scored):
    scored += [0.5, 0.25]
    recipe = short(epochs=2)
    train(tmp_path, recipe)
    (tmp_path / "model.safetensors").unlink()
    scored += [0.25]
    train(tmp_path, recipe, resume=True)
    assert steps_of(tmp_path) == {"model": (2, 0.25), "last": (2, 0.25)}


def test_more_epochs_where_the_rate_does_not_depend_on_them(tmp_path):
    """A run of two epochs that gets two more: the same bytes as one of four."""
    train(tmp_path / "whole", tiny(epochs=4, schedule=Constant()))
    train(tmp_path / "run", tiny(epochs=2, schedule=Constant()))
    train(tmp_path / "run", tiny(epochs=4, schedule=Constant()), resume=True)
    for name in ("last.safetensors", "recipe.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert steps_of(tmp_path / "whole") == steps_of(tmp_path / "run")
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "run")


def test_more_epochs_for_a_schedule_that_has_ended_begin_it_again(tmp_path, capsys):
    first, more = (
        short(epochs=3, schedule=Cosine(), warmup=Warmup(1, 0.5)),
        short(epochs=6, schedule=Cosine(), warmup=Warmup(1, 0.5)),
    )
    train(tmp_path, first)
    train(tmp_path, more, resume=True)
    assert "the schedule cosine ended with epoch 3: it begins again for the epochs up to 6" in capsys.readouterr().err
    rates = [line["lr"] for line in log_of(tmp_path) if "loss" in line]
    assert rates[:3] == rates[3:] == [0.025, 0.05, pytest.approx(0.025)]
    train(tmp_path, more, resume=True)
    with pytest.raises(UsageError, match="has epochs 6, the recipe has 3"):
        train(tmp_path, first, resume=True)


def test_an_ending_schedule_is_not_stretched_in_the_middle(tmp_path, monkeypatch):
    recipe = short(epochs=4, schedule=Cosine())
    train_step = loop.train_step

    def stopping(run, *rest):
        if run.step == 2:
            run.interruptions.signal = "SIGTERM"
        return train_step(run, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", stopping)
        with pytest.raises(TrainingError, match=r"stopped by SIGTERM after step 3 of 4; model.safetensors has the best score"):
            train(tmp_path, recipe)
    assert modelfile.read(tmp_path / "last.safetensors").metrics == {}, "the network as it is, not scored"
    with pytest.raises(UsageError, match=r"epochs 8, the run has 4 and is not through with them: its schedule cosine"):
        train(tmp_path, short(epochs=8, schedule=Cosine()), resume=True)
    state = checkpoint.load(tmp_path)
    checkpoint.save(tmp_path, {**state, "epoch_steps": 2})
    with pytest.raises(UsageError, match=r"began with 2 steps in an epoch, and these 8 images make 1"):
        train(tmp_path, recipe, resume=True)


@pytest.mark.parametrize("averaging", [None, Averaging(0.9)])
def test_a_checkpoint_becomes_a_model(averaging, tmp_path):
    """The same file as the last model, but for where it comes from and its score. Files that lie are refused."""
    train(tmp_path, tiny(epochs=1, averaging=averaging))
    last, file = modelfile.read(tmp_path / "last.safetensors"), tmp_path / "checkpoint.pt"
    done = CliRunner().invoke(main, ["convert", str(file), "--out", str(tmp_path / "from.safetensors")])
    assert (done.exit_code, "mobilenet_v2 from mobilenet train" in done.output) == (0, True), done.output
    found = modelfile.read(tmp_path / "from.safetensors")
    assert all(np.array_equal(found.tensors[name], last.tensors[name]) for name in last.tensors)
    assert (found.labels, found.network, found.preprocessing) == (last.labels, last.network, last.preprocessing)
    assert found.provenance["step"] == last.provenance["step"] == 5
    assert found.metrics == {}
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    done = CliRunner().invoke(main, ["convert", str(file), "--out", str(tmp_path / "b.safetensors")])
    assert (done.exit_code, "damaged or cut short; take model.safetensors" in done.output) == (1, True), done.output
    file.write_bytes(content)
    state = checkpoint.load(tmp_path)
    del state["result"]
    checkpoint.save(tmp_path, state)
    done = CliRunner().invoke(main, ["convert", str(file), "--out", str(tmp_path / "b.safetensors")])
    assert (done.exit_code, "holds no float model" in done.output) == (1, True), done.output
