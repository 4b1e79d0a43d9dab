"""The loop for all three tasks: its files, that it learns, and that its score is that of `evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from PIL import Image  # noqa: E402
from support.datasets import shapes  # noqa: E402
from support.training_runs import ROWS, log_of, tiny, tiny_detector, tiny_segmenter  # noqa: E402

from mobilenet import modelfile, nn  # noqa: E402
from mobilenet.cli.main import main  # noqa: E402
from mobilenet.images.preprocessing import Preprocessing  # noqa: E402
from mobilenet.predict.evaluate import evaluate  # noqa: E402
from mobilenet.predict.predictor import Predictor  # noqa: E402
from mobilenet.training.optim.optimizer import AdamW, RMSProp  # noqa: E402
from mobilenet.training.optim.schedule import Warmup  # noqa: E402
from mobilenet.training.recipes.recipe import GeneratedShapes, NetworkSpec, Teacher  # noqa: E402
from mobilenet.training.run import folder, loop  # noqa: E402
from mobilenet.training.run.checkpoint import TrainingError  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(recipe, out: Path, data: Path | None = None, **given) -> modelfile.ModelFile:
    return modelfile.read(loop.train(recipe, data, out, accelerator="cpu", **given))


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Class folders of shapes, ``train`` and ``val``."""
    base = tmp_path_factory.mktemp("shapes")
    for split, count in (("train", 24), ("val", 15)):
        drawn = shapes("classification", split, count, 40)
        for index in range(count):
            image, label = drawn.read(index)
            folder = base / split / drawn.labels[int(label)]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy())).save(folder / f"{index}.png")
    return base


@pytest.mark.parametrize("made", [tiny, tiny_detector, tiny_segmenter])
def test_every_task_writes_a_complete_run(made, tmp_path):
    recipe = made()
    model = train(recipe, tmp_path)
    names = {"model.safetensors", "last.safetensors", "recipe.json", "log.jsonl", "scores.csv", "checkpoint.pt", "tensorboard"}
    names |= {"curves.png", "samples.png", "report"}
    names |= {"confusion.png"} if recipe.task == "classification" else set()
    assert {path.name for path in tmp_path.iterdir()} == names
    assert any((tmp_path / "tensorboard").iterdir())
    assert model.network.task == recipe.task
    assert model.provenance["recipe"] == json.loads((tmp_path / "recipe.json").read_text()) == recipe.to_json()
    steps, scores = ([line for line in log_of(tmp_path) if key in line] for key in ("loss", "metrics"))
    assert [line["step"] for line in scores] == [line["step"] for line in steps]
    assert len(scores) == recipe.epochs
    assert dict(model.metrics) == scores[-1]["metrics"]
    assert all(np.isfinite([line["loss"], *line["parts"].values()]).all() for line in steps)
    for path in tmp_path.glob("*.png"):
        Image.open(path).load()
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert content["metrics"] == scores[-1]["metrics"]
    assert [each["label"] for each in content["classes"]] == list(model.labels)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "finished" in page
    assert "http-equiv" not in page
    assert all(f"<h2>{title}</h2>" in page for title in ("Training", "Classes", "Curves", "Samples"))


def test_the_score_is_that_of_evaluate(folders, tmp_path):
    """`mobilenet evaluate` of the model file, in torch: the same metrics, to the last digit."""
    recipe = tiny(shapes=None, preprocessing=Preprocessing(size=(32, 32), fit="center_crop", resize=36))
    model = train(recipe, tmp_path, folders)
    found = evaluate(Predictor(model, nn.executor(model)), folders / "val")
    assert (found.images, found.metrics) == (15, dict(model.metrics))
    file = str(tmp_path / "model.safetensors")
    answer = CliRunner().invoke(main, ["predict", str(folders / "val"), "--model", file, "--json"])
    assert answer.exit_code == 0
    assert len(json.loads(answer.stdout)) == 15


def test_it_learns(tmp_path):
    """On four images that it can memorize, the last loss is a small part of the first."""
    recipe = tiny(
        epochs=40, batch=4, shapes=GeneratedShapes(4, 4, 32), score_epochs=40, lr=0.01, optimizer=AdamW(), averaging=None,
        augmentation=replace(tiny().augmentation, mixup=0.0, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0),
        loss=replace(tiny().loss, smoothing=0.0), network=replace(tiny().network, dropout=0.0), checkpoint_steps=100,
    )  # fmt: skip
    train(recipe, tmp_path)
    losses = [line["loss"] for line in log_of(tmp_path) if "loss" in line]
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16-mixed"},
        {"accumulate": 2, "clip": 0.5},
        {"channels_last": False, "averaging": None, "in_memory": True},
        {"optimizer": RMSProp(), "warmup": Warmup(0.5, 0.1), "balanced": True},
        {"sizes": ((0.0, 24), (0.5, 32)), "workers": 1},
        {"limit": 16, "score_epochs": 2},
    ],
    ids=str,
)
def test_settings_of_the_loop(changes, tmp_path):
    recipe = tiny(**changes)
    train(recipe, tmp_path)
    assert len([line for line in log_of(tmp_path) if "metrics" in line]) == recipe.epochs // recipe.score_epochs


def test_compiled(tmp_path):
    pytest.importorskip("torch._inductor")
    called = []

    def compile(module):
        called.append(module)
        return torch.nn.Sequential(module)  # what a compiled module is: another one around it

    original, torch.compile = torch.compile, compile
    try:
        model = train(tiny(compile=True), tmp_path)
    finally:
        torch.compile = original
    assert len(called) == 1
    assert set(model.tensors) == set(model.network.tensors())


def test_accumulated_gradients_are_the_batchs(tmp_path):
    """The first loss is that of the whole batch, except for batch norm, which sees 20 images instead of 40."""
    first = []
    for parts in (1, 2):
        recipe = tiny(accumulate=parts, epochs=1, network=replace(tiny().network, dropout=0.0), batch=40)
        train(recipe, tmp_path / str(parts))
        first.append(log_of(tmp_path / str(parts))[0]["loss"])
    assert first[0] == pytest.approx(first[1], rel=0.02)


def test_a_model_file_can_be_the_start_and_the_teacher_of_another_run(folders, tmp_path):
    first = train(tiny(shapes=None, epochs=1), tmp_path / "a", folders)
    file = str(tmp_path / "a" / "model.safetensors")
    recipe = tiny(shapes=None, epochs=1, lr=1e-12, averaging=None, teacher=Teacher(file, 0.3, 2.0),
                  network=NetworkSpec(settings={"width": 0.35, "rows": ROWS}, start=file))  # fmt: skip
    second = train(recipe, tmp_path / "b", folders)
    for name in first.network.parameters():
        assert np.allclose(first.tensors[name], second.tensors[name], atol=1e-9), name
    assert set(log_of(tmp_path / "b")[0]["parts"]) == {"cross_entropy", "teacher"}
    for changes, said in (
        ({"network": NetworkSpec(settings={"width": 0.5}, start=file)}, "same width"),
        ({"network": NetworkSpec(settings={"width": 0.35, "rows": ROWS, "padding": "tensorflow"}, start=file)}, "padding"),
        ({"network": replace(recipe.network, start="imagenett")}, "imagenet"),
        ({"preprocessing": Preprocessing(size=(32, 32), fit="squash", mean=(0.5, 0.5, 0.5))}, "mean"),
        ({"teacher": Teacher("timm:no_such_net")}, "timm"),
    ):
        with pytest.raises(ValueError, match=said):
            loop.train(replace(recipe, **changes), folders, tmp_path / "c", accelerator="cpu")


def test_contradictory_arguments_are_rejected(folders, tmp_path):
    for recipe, data, said in (
        (tiny(), folders, "leave --data out"),
        (tiny(shapes=None), None, "give --data"),
        (tiny(batch=64), None, "batch 64: must be at most the 40"),
    ):
        with pytest.raises(ValueError, match=said):
            loop.train(recipe, data, tmp_path / "run", accelerator="cpu")
        assert not (tmp_path / "run").exists(), "a run that never began leaves nothing"
    train(tiny(epochs=1), tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run already; give --resume"):
        train(tiny(epochs=1), tmp_path / "run")
    with pytest.raises(ValueError, match=r"has lr 0.05, the recipe has 0.5"):
        train(tiny(epochs=1, lr=0.5), tmp_path / "run", resume=True)
    train(tiny(epochs=1, workers=1), tmp_path / "run", resume=True)  # done already: the model file is written again
    for damaged in ("{", "[]", '{"kind": "recipe"}'):
        (tmp_path / "run" / "recipe.json").write_text(damaged)
        with pytest.raises(TrainingError, match=r"recipe.json: cannot be read as the recipe .*put it back"):
            train(tiny(epochs=1), tmp_path / "run", resume=True)


def test_unreadable_images_are_named_in_the_log(folders, tmp_path):
    copy = tmp_path / "data"
    for source in folders.rglob("*.png"):
        target = copy / source.relative_to(folders)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    broken = sorted((copy / "val").rglob("*.png"))[0]
    broken.write_bytes(b"no image")
    model = train(tiny(shapes=None, epochs=1), tmp_path / "run", copy)
    (score,) = (line for line in log_of(tmp_path / "run") if "metrics" in line)
    assert score["images"] == model.provenance["scored"] == 14
    assert [broken.name in reason for reason in score["failed"]] == [True]


def test_from_the_command_line(tmp_path):
    """`train --smoke` of a recipe without data; the same with --resume; then mistakes, each with its remedy."""
    arguments = ["train", "shapes_classify", "--out", str(tmp_path / "run"), "--smoke", "--set", "workers=0"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "top1" in done.stderr
    for more, status, said in (
        (["--resume"], 0, "continuing after step 2 of 2"),
        ([], 2, "--resume"),
        (["--set", "lrr=1"], 2, "nearest: lr"),
        (["--set", "lr"], 2, "must be key=value"),
        (["--data", str(tmp_path), "--out", str(tmp_path / "new")], 2, "leave --data out"),
    ):
        done = CliRunner().invoke(main, [*arguments, *more])
        assert (done.exit_code, said in done.output) == (status, True), done.output
    done = CliRunner().invoke(main, ["train", "shapes_clasify", "--out", str(tmp_path)])
    assert (done.exit_code, "nearest: shapes_classify" in done.output) == (2, True)


def test_a_loss_that_is_not_finite_stops_the_run_with_its_terms_and_images(tmp_path):
    said = r"step \d+: a loss is not finite \(cross_entropy (nan|inf), total (nan|inf)\), for the images with index \[\d+, "
    with pytest.raises(TrainingError, match=said):
        train(tiny(lr=1e30, averaging=None), tmp_path)
    state = loop.checkpoint.load(tmp_path)
    assert all(torch.isfinite(value).all() for value in state["net"].values())


def test_a_run_that_began_under_former_names_of_settings_goes_on(tmp_path):
    recipe = tiny_detector()
    former = json.dumps(recipe.to_json()).replace("max_detections", "most").replace("max_candidates", "candidates")
    (tmp_path / "recipe.json").write_text(former)
    assert folder.position(tmp_path, recipe, resume=True) == (recipe, None), "the same recipe, and no checkpoint yet"
