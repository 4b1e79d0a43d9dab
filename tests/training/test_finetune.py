"""Fine-tuning: the recipe that follows from the images, folded models as a start, heads for classes that the start lacks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.models import HALF, detector, segmenter, toy
from support.weights import published_model, random_tensors, tolerance

from mobilenet import modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.network.heads import ssdlite_mobilenet_v1

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import log_of  # noqa: E402

from mobilenet import load, nn  # noqa: E402
from mobilenet.cli.main import main  # noqa: E402
from mobilenet.data import ListedRecords, Objects, Subset  # noqa: E402
from mobilenet.tasks.labels import same_name  # noqa: E402
from mobilenet.training.input import Dataset  # noqa: E402
from mobilenet.training.objectives import objective_of  # noqa: E402
from mobilenet.training.recipes.finetune import Images, finetune, learning_rate  # noqa: E402
from mobilenet.training.run.data import open_splits  # noqa: E402
from mobilenet.training.run.heads import cell_probe, class_probe, scores_on_objects  # noqa: E402
from mobilenet.training.run.plan import overlap_of_objects  # noqa: E402
from mobilenet.training.run.start import copy_weights, shared_classes  # noqa: E402

STARTS = {"classification": toy, "detection": detector, "segmentation": segmenter}


@pytest.mark.parametrize("task", STARTS)
def test_the_recipe_follows_from_the_images(task):
    recipes = [finetune(Images(task, count, 400), "x.safetensors", STARTS[task]()) for count in (1, 20, 500, 10_000, 200_000)]
    assert all(fewer.epochs >= more.epochs for fewer, more in pairwise(recipes)), "the more images, the fewer epochs"
    assert all(fewer.batch <= more.batch for fewer, more in pairwise(recipes))
    assert [recipe.batch for recipe in recipes[:2]] == [1, 20 if task == "classification" else 4], "no more than there are"
    assert recipes[-1].epochs == 2
    assert {recipe.task for recipe in recipes} == {task}


def test_a_segmenter_stands_on_a_classifiers_backbone_and_nothing_else_crosses_tasks():
    start = published_model("imagenet")
    recipe = finetune(Images("segmentation", 100, 480), "imagenet", start)
    assert recipe.network.architecture == "deeplabv3_mobilenet_v2"
    assert recipe.resolution == 481
    with pytest.raises(ValueError, match=r"labels are for detection; start from coco"):
        finetune(Images("detection", 100, 480), "imagenet", start)


def folded_detector() -> ModelFile:
    network = ssdlite_mobilenet_v1(0.25, 33, classes=3, epsilon=None)
    preprocessing = Preprocessing(size=(33, 33), fit="squash", mean=HALF, std=HALF)
    return ModelFile(network, random_tensors(network), ("cup", "dog", "sofa"), preprocessing, decoding=detector().decoding)


def test_a_folded_model_gets_its_norms_back_and_answers_as_before(tmp_path):
    start = folded_detector()
    modelfile.write(start, tmp_path / "start.safetensors")
    network = ssdlite_mobilenet_v1(0.25, 33, classes=3, epsilon=1e-5)
    net = nn.module(network)
    taken = copy_weights(net, str(tmp_path / "start.safetensors"), start.labels, (), start.preprocessing)
    assert not taken.unknown
    assert taken.norms, "of its backbone and extras"
    before = nn.module(start.network)
    before.load_arrays(start.tensors)
    images = torch.rand(2, 3, 33, 33) * 2 - 1
    with torch.inference_mode():
        expected, outputs = before.eval()(images), net.eval()(images)
    for name, values in expected.items():
        bound = tolerance(network, float(values.abs().max()))  # each norm rounds twice more
        torch.testing.assert_close(outputs[name], values, rtol=0, atol=3 * bound)


def test_rows_of_known_classes_come_along_by_any_name(tmp_path):
    start = folded_detector()
    modelfile.write(start, tmp_path / "start.safetensors")
    net = nn.module(ssdlite_mobilenet_v1(0.25, 33, classes=2, epsilon=1e-5))
    random = net.arrays()
    taken = copy_weights(net, str(tmp_path / "start.safetensors"), ("Couch", "unicorn"), (), start.preprocessing)
    assert taken.unknown == (1,)
    for name in net.network.heads.classes:
        key = f"{name}.conv.weight"
        ours, theirs = net.arrays()[key].reshape(-1, 3, *random[key].shape[1:]), start.tensors[key]
        theirs = theirs.reshape(len(ours), 4, *theirs.shape[1:])
        assert np.array_equal(ours[:, :2], theirs[:, [0, 3]]), "the background and the sofa"
        assert np.array_equal(ours[:, 2], random[key].reshape(ours.shape)[:, 2])


def test_numbers_identify_no_class():
    """The categories of anybody's COCO file are numbered from 1, as COCO's are."""
    coco = published_model("coco")
    assert coco.label_ids[:2] == ("1", "2")
    assert shared_classes(("circle", "zebra", "1"), ("1", "2", "3"), coco) == {1: coco.labels.index("zebra")}


def test_probes_find_the_optimum():
    """At the minimum of a convex function its gradient is 0, here computed by numpy."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, 90)
    x = (generator.normal(size=(90, 8)) + np.eye(3, 8)[targets]).astype(np.float32)
    known = generator.normal(size=(5, 8)).astype(np.float32)
    weight, bias = class_probe(torch.from_numpy(x), torch.from_numpy(targets), 3, torch.from_numpy(known))
    assert not bias.any()
    squares = known.T @ known
    values, vectors = np.linalg.eigh(squares * (5 / 8) / np.trace(squares) * 8)
    stretched = x @ (vectors * np.sqrt(values + 32))
    lengths = np.linalg.norm(stretched, axis=1, keepdims=True)
    unit, own = stretched / lengths * 30, weight.numpy() @ vectors / np.sqrt(values + 32) / (30 / lengths.mean())
    logits = unit @ own.T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    gradient = (shares - np.eye(3)[targets]).T @ unit / 90 + 0.1 * own
    assert np.abs(gradient).max() < 3e-2 * np.abs(0.1 * own).max()
    weight, bias = cell_probe(torch.from_numpy(x), torch.from_numpy(targets), 3)
    assert ((torch.from_numpy(x) @ weight.T + bias).argmax(1).numpy() == targets).mean() > 0.6


def write_folders(root, count=8):
    for number, color in enumerate(("red", "green", "blue")):
        for split in ("train", "val"):
            folder = root / split / color
            folder.mkdir(parents=True)
            for index in range(count):
                value = [30 + 5 * index] * 3
                value[number] = 200 + index
                Image.new("RGB", (40, 40), tuple(value)).save(folder / f"{index}.png")
    return root


def test_the_command_teaches_a_model_new_classes(tmp_path):
    data, out = write_folders(tmp_path / "data"), tmp_path / "run"
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    command = ["train", "finetune", "--data", str(data), "--model", str(tmp_path / "toy.safetensors"), "--out", str(out)]
    result = CliRunner().invoke(main, [*command, "--set", "epochs=2", "--set", "workers=0"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "all 3 classes start as a linear probe on 24 images" in result.output + result.stderr
    predict = load(out / "model.safetensors")
    assert predict.labels == ("blue", "green", "red")
    assert modelfile.read(out / "model.safetensors").metrics["top1"] > 0.3, "three classes, and a backbone of random weights"
    scores = [line for line in log_of(out) if "metrics" in line]
    assert scores[0]["step"] == 0, "what the start knows is scored too"
    again = CliRunner().invoke(main, [*command, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output


def test_unknown_boxes_start_as_what_the_start_sees_in_them(shared):
    data = shared / "data" / "voc_boxes"
    recipe = finetune(Images("detection", 700, 320), "coco", published_model("coco"))
    training, _ = open_splits(recipe, data)
    net = nn.module(recipe.network.network(recipe.resolution, len(training.labels)))
    objective = objective_of(recipe.loss, net.network, recipe.preprocessing, training.labels)
    strange = tuple(f"w{number}" for number in range(len(training.labels)))
    start = copy_weights(net, "coco", strange, (), recipe.preprocessing)
    assert len(start.unknown) == len(strange)
    few = Dataset(Subset(training.records, 32))
    found = scores_on_objects(start.model, few, recipe, objective)
    sums = found.sums
    assert int(found.objects.sum()) == sum(len(few.records.truth(index).labels) for index in range(len(few)))
    person = training.labels.index("person")
    assert 0.4 < found.known(person) == found.shown[person, start.model.labels.index("person")] / found.objects[person] < 1
    seen = {
        training.labels[number]: start.model.labels[int(sums[number].argmax())]
        for number in range(len(strange))
        if sums[number].any()
    }
    named = {label: same_name(label) for label in seen}
    assert len(seen) >= 10
    assert sum(same_name(seen[label]) == name for label, name in named.items()) >= 0.7 * len(seen), seen


def test_a_detector_is_shown_fewer_images_of_what_the_start_knows_and_averages_more_of_them():
    recipes = [finetune(Images("detection", 1000, 400, 20, known), "x.safetensors", detector()) for known in (0.0, 0.5, 1.0)]
    assert [recipe.epochs for recipe in recipes] == [12, 7, 4]
    assert [recipe.averaging.power for recipe in recipes] == [8.0, 2.8, 1.0]


def test_only_objects_that_overlap_may_be_found_so(tmp_path):
    """The limit of NMS: 0.5, or what two of a hundred objects exceed, up to the start's own."""
    start = detector()
    own = start.decoding.iou
    limits = {
        overlap: finetune(Images("detection", 100, 400, overlap=overlap), "x.safetensors", start).loss.decoding.iou
        for overlap in (0.0, 0.3, 0.553, 0.9)
    }
    assert limits == {0.0: 0.5, 0.3: 0.5, 0.553: 0.55, 0.9: own}
    pairs = [Objects.of([[0, 0, 10, 10], [2, 0, 12, 10], [0, 0, 10, 9]], [0, 0, 1], [False] * 3)] * 2
    images = [lambda: Image.new("RGB", (20, 20))] * 2
    assert overlap_of_objects(ListedRecords("detection", ("a", "b"), ["x", "y"], images, pairs)) == pytest.approx(8 / 12)
    alone = [Objects.of([[0, 0, 10, 10]], [0], [False])] * 2
    assert overlap_of_objects(ListedRecords("detection", ("a", "b"), ["x", "y"], images, alone)) == 0


def test_what_the_start_knows_stays_and_scoring_costs_a_share():
    """Of a detector as far as the start knows its classes; and many validation images are scored seldom, few more often."""
    start = detector()
    recipes = [finetune(Images("detection", 100, 400, 20, known), "x.safetensors", start) for known in (0.0, 0.5, 1.0)]
    assert [recipe.averaging.start for recipe in recipes] == [0.0, 0.2, 0.4]
    assert [recipe.lr for recipe in recipes] == [3e-4, 1.7e-4, 1e-4]
    few = [learning_rate(Images("classification", count, 0, 20, 0.0, 10)) for count in (20, 30, 100, 1000, 100_000)]
    assert few == [1e-4, 1.5e-4, 5e-4, 5e-4, 5e-4]
    scores = []
    for scored in (1, 100, 1000, 10_000):
        recipe = finetune(Images("detection", 1000, 400, scored), "x.safetensors", start)
        scores.append(-(-recipe.epochs // recipe.score_epochs))
    assert scores == sorted(scores, reverse=True)
    assert 4 <= scores[0] <= 5
    assert scores[-1] == 1
