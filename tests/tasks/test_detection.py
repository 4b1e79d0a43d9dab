"""Detectors from outputs to boxes: torchvision's whole SSDLite on MobileNetV2, boxes in the image's pixels, model files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from support.models import detector
from support.weights import random_tensors, tolerance

import mobilenet
from mobilenet import modelfile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile, ModelFileError
from mobilenet.network.heads import ssdlite_mobilenet_v2
from mobilenet.network.layers import Network
from mobilenet.predict.predictor import Predictor
from mobilenet.tasks import boxes, detection
from mobilenet.tasks.detection import (
    TENSORFLOW,
    TORCHVISION,
    Decoding,
    Detections,
    default_boxes,
    detect,
    logits_and_codes,
    probabilities,
)
from mobilenet.tensorfile import read_safetensors

pytestmark = pytest.mark.usefixtures("one_thread")
HALF = (0.5, 0.5, 0.5)


def pointing(network: Network, hits: dict[int, tuple[int, float]], codes: dict[int, tuple[float, ...]] | None = None):
    """An executor that is sure of nothing but `hits`: {default box: (class, logit)}, with `codes` for some of its boxes."""
    shapes, slots = network.shapes(), network.settings.classes + 1
    outputs, first = {}, 0
    for name in network.outputs:
        channels, rows, columns = shapes[name]
        is_box = name.startswith("box_")
        length = 4 if is_box else slots
        table = np.full((rows * columns * channels // length, length), 0 if is_box else -30, np.float32)
        for number, value in (codes or {}).items() if is_box else ():
            if first <= number < first + len(table):
                table[number - first] = value
        for number, (index, logit) in () if is_box else hits.items():
            if first <= number < first + len(table):
                table[number - first, index + 1] = logit
        outputs[name] = table.reshape(rows, columns, channels).transpose(2, 0, 1)[None]
        first += 0 if is_box else len(table)  # the box predictor of a map comes before its class predictor
    return lambda images: outputs


# torchvision's anatomy -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torchvisions():
    """torchvision's SSDLite with its own extractor, head and postprocessing on its own MobileNetV2, 91 slots."""
    pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    from functools import partial

    import torch
    from torchvision.models.detection import ssd, ssdlite
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

    norm = partial(torch.nn.BatchNorm2d, eps=0.001, momentum=0.03)
    features = models.mobilenet_v2(norm_layer=norm).features
    features[14].block = features[14].conv  # the extractor knows MobileNetV3, which calls it so
    extractor = ssdlite.SSDLiteFeatureExtractorMobileNet(features, 14, norm)
    generator = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = [576, 1280, 512, 256, 256, 128]
    head = ssdlite.SSDLiteHead(channels, generator.num_anchors_per_location(), 91, norm)
    defaults = {"score_thresh": 0.001, "nms_thresh": 0.55, "detections_per_img": 300, "topk_candidates": 300}
    model = ssd.SSD(extractor, generator, (320, 320), 91, HALF, HALF, head, **defaults)

    network = ssdlite_mobilenet_v2(resolution=320, classes=90, epsilon=1e-3, anchors="torchvision")
    tensors = random_tensors(network)
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    order = [
        *(name for name in state if name.startswith("backbone.")),
        *(name for name in state if name.startswith("head.classification_head.")),
        *(name for name in state if name.startswith("head.regression_head.")),
    ]
    ours = [*(n for n in tensors if not n.startswith(("box_", "class_"))), *(n for n in tensors if n.startswith("class_")),
            *(n for n in tensors if n.startswith("box_"))]  # fmt: skip
    assert [tuple(state[a].shape) for a in order] == [tensors[b].shape for b in ours]
    model.load_state_dict({a: torch.from_numpy(tensors[b]) for a, b in zip(order, ours, strict=True)}, strict=False)
    return model.eval(), network, tensors


def test_the_whole_of_torchvisions_ssdlite(torchvisions):
    """Parameters, feature maps, outputs, default boxes and detections."""
    import torch

    from mobilenet import nn

    model, network, tensors = torchvisions
    assert sum(p.numel() for p in model.parameters()) == 4_664_988
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8))
    preprocessing = Preprocessing(size=(320, 320), fit="squash", mean=HALF, std=HALF)
    ours = ModelFile(network, tensors, tuple(map(str, range(90))), preprocessing, decoding=TORCHVISION)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        batch, _ = model.transform([x])
        features = list(model.backbone(batch.tensors).values())
        theirs = model.head(features)
        anchors = model.anchor_generator(batch, features)
        (found,) = model.postprocess_detections(theirs, anchors, batch.image_sizes)
    np.testing.assert_allclose(preprocessing(image), batch.tensors[0].numpy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        boxes.to_corners(default_boxes(network)) * 320, anchors[0].numpy(), rtol=0, atol=4 * 2.0**-24 * 640
    )
    logits, codes = logits_and_codes(nn.executor(ours)(preprocessing(image)[None]), network)
    for mine, other in ((logits, theirs["cls_logits"][0].numpy()), (codes, theirs["bbox_regression"][0].numpy())):
        assert mine.shape == other.shape
        scale = np.abs(other).max()
        assert scale > 1
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance(network, scale))

    # From their own outputs, so that no rounding decides between two boxes. Boxes without area stay in torchvision's list.
    result = detect(
        theirs["cls_logits"][0].numpy(), theirs["bbox_regression"][0].numpy(), default_boxes(network), TORCHVISION,
        (320, 320), (0, 0, 320, 320), ours.labels,
    )  # fmt: skip
    whole = boxes.area(found["boxes"].numpy()) > 0
    assert len(result) > 100
    count = int(whole.sum())
    np.testing.assert_allclose(result.scores[:count], found["scores"].numpy()[whole], rtol=1e-4)
    np.testing.assert_array_equal(result.classes[:count], found["labels"].numpy()[whole] - 1)
    np.testing.assert_allclose(result.boxes[:count], found["boxes"].numpy()[whole], rtol=0, atol=1e-2)


# Decoding ------------------------------------------------------------------------------------------------------------


def test_boxes_land_on_the_image():
    """A default box at the middle of a map, on an image three times as wide as high; TensorFlow's order of codes."""
    model = detector()
    defaults = default_boxes(model.network)
    number = len(defaults) - 6  # on the last map, one cell: 0.95 of the image around its center
    image = Image.new("RGB", (300, 100))
    result = Predictor(model, pointing(model.network, {number: (2, 5.0)}))(image)
    assert isinstance(result, Detections)
    (found,) = result.top()
    assert (found.label, found.index) == ("c", 2)
    assert found.score == pytest.approx(1 / (1 + np.exp(-5)))
    assert found.box == pytest.approx((7.5, 2.5, 292.5, 97.5))

    moved = {number: (1.0, 2.0, 0.0, 0.0)}  # dy, dx: a tenth and two tenths of the box's sides
    (found,) = Predictor(model, pointing(model.network, {number: (0, 5.0)}, moved))(image).top()
    assert found.box == pytest.approx((7.5 + 57, 2.5 + 9.5, 300, 100)), "cut at the image's edge"
    other = replace(model, decoding=replace(TENSORFLOW, codes="xywh"))
    (found,) = Predictor(other, pointing(model.network, {number: (0, 5.0)}, moved))(image).top()
    assert found.box == pytest.approx((7.5 + 28.5, 2.5 + 19, 300, 100))
    grown = {number: (0.0, 0.0, 0.0, -5.0)}  # dw: a factor of 1 / e
    (found,) = Predictor(model, pointing(model.network, {number: (0, 5.0)}, grown))(image).top()
    assert found.box[2] - found.box[0] == pytest.approx(285 / np.e, rel=1e-5)


def test_boxes_of_a_padded_image():
    preprocessing = Preprocessing(size=(33, 33), fit="pad", fill=127, mean=HALF, std=HALF)
    model = replace(detector(), preprocessing=preprocessing)
    number = len(default_boxes(model.network)) - 6
    (found,) = Predictor(model, pointing(model.network, {number: (0, 5.0)}))(Image.new("RGB", (330, 110))).top()
    assert found.box == pytest.approx((8.25, 8.25, 321.75, 110)), "the square input shows the image in its upper third"


def test_duplicates_go_and_other_classes_stay():
    model = detector()
    count = len(default_boxes(model.network))
    same = {count - 6: (0, 3.0), count - 1: (0, 2.0), count - 5: (1, 1.0)}  # IoU of the squares 0.95
    result = Predictor(model, pointing(model.network, same))(Image.new("RGB", (50, 50)))
    assert [p.label for p in result.top()] == ["a", "b"]
    assert result.scores.tolist() == sorted(result.scores.tolist(), reverse=True)
    assert len(result.top(1)) == 1
    assert [p.label for p in result.top(threshold=0.9)] == ["a"]
    assert str(result) == "a 95 %, b 73 %"
    assert result.to_dict()["predictions"][0].keys() == {"label", "index", "score", "box"}
    assert json.loads(result.to_json()) == json.loads(json.dumps(result.to_dict()))


def test_nothing_found():
    model = detector()
    result = Predictor(model, pointing(model.network, {}))(Image.new("RGB", (5, 1)))
    assert (len(result), result.boxes.shape, result.top(), str(result)) == (0, (0, 4), [], "nothing found")
    assert (result.boxes.dtype, result.scores.dtype, result.classes.dtype) == (np.float32, np.float32, np.int64)


def test_a_box_without_area_is_dropped():
    model = detector()
    number = len(default_boxes(model.network)) - 6
    outside = pointing(model.network, {number: (0, 5.0)}, {number: (0.0, 100.0, 0.0, 0.0)})
    assert len(Predictor(model, outside)(Image.new("RGB", (50, 50)))) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([TENSORFLOW, TORCHVISION, replace(TENSORFLOW, threshold=0.0, max_detections=7)]))
def test_any_outputs_give_sane_boxes(seed, decoding):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 200))
    defaults = np.concatenate([generator.random((count, 2)), generator.uniform(0.01, 1, (count, 2))], axis=1)
    logits, codes = (generator.normal(0, 30, (count, k)).astype(np.float32) for k in (4, 4))
    found = detect(logits, codes, defaults, decoding, (37, 11), (0, 0, 37, 11), tuple("abc"))
    assert len(found) <= decoding.max_detections
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores > decoding.threshold).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= (37, 11, 37, 11)).all()
    assert (boxes.area(found.boxes) > 0).all()
    for index in range(3):
        mine = found.boxes[found.classes == index]
        overlap = boxes.iou(mine, mine) - np.eye(len(mine))
        assert overlap.max(initial=0) <= decoding.iou


def test_probabilities_of_extreme_logits():
    extreme = np.array([[0, 1e4, -1e4], [1e4, 1e4, -1e4]], np.float32)
    assert probabilities(extreme, "sigmoid").tolist() == [[1, 0], [1, 0]]
    assert probabilities(extreme, "softmax").tolist() == [[1, 0], [0.5, 0]]


# Model files ---------------------------------------------------------------------------------------------------------


def test_a_detector_round_trips(tmp_path):
    for model in (detector(), detector(anchors="torchvision")):
        modelfile.write(model, tmp_path / "d.safetensors")
        again = modelfile.read(tmp_path / "d.safetensors")
        assert (again.network, again.decoding, again.labels) == (model.network, model.decoding, model.labels)
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
        one, other = mobilenet.load(again)(image), mobilenet.load(model)(image)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_what_does_not_fit_together():
    model = detector()
    with pytest.raises(ModelFileError, match="no decoding for detection"):
        replace(model, decoding=None)
    with pytest.raises(ModelFileError, match="2 labels for a detection head of 3"):
        replace(model, labels=("a", "b"))
    with pytest.raises(ModelFileError, match="'center_crop' for detection: the network must see the whole"):
        replace(model, preprocessing=Preprocessing(size=(33, 33), fit="center_crop", resize=40))
    height, width = model.network.resolution
    with pytest.raises(ModelFileError, match=rf"preprocessing size \({height * 2}, {width}\) for a detector of resolution"):
        replace(model, preprocessing=replace(model.preprocessing, size=(height * 2, width)))
    with pytest.raises(ValueError, match="cuts the image"):
        Preprocessing(size=(33, 33), fit="central_fraction", fraction=0.5).window((10, 10))


@pytest.mark.parametrize(
    ("key", "value"),
    [("scores", "relu"), ("codes", "xyxy"), ("threshold", 2), ("threshold", True), ("iou", "0.5"), ("max_detections", 0),
     ("max_candidates", 0), ("max_candidates", 1.5)],
)  # fmt: skip
def test_a_decoding_that_is_none(key, value):
    with pytest.raises(ValueError, match=rf"decoding\.{key} "):
        Decoding.from_json({**TENSORFLOW.to_json(), key: value})


def test_decoding_as_json():
    for decoding in (TENSORFLOW, TORCHVISION):
        assert Decoding.from_json(json.loads(json.dumps(decoding.to_json()))) == decoding
    for wrong in ({}, [], {**TENSORFLOW.to_json(), "nms": 1}, {**TENSORFLOW.to_json(), "most": 1}):
        with pytest.raises(ValueError, match="decoding"):
            Decoding.from_json(wrong)


def test_files_that_call_the_limits_by_their_former_names(tmp_path):
    with_metadata(tmp_path / "old.safetensors", decoding=json.dumps({
        "scores": "softmax", "codes": "xywh", "threshold": 0.001, "iou": 0.55, "most": 300, "candidates": 300,
    }))  # fmt: skip
    assert modelfile.read(tmp_path / "old.safetensors").decoding == TORCHVISION


def with_metadata(path, **changes):
    """Writes a detector's model file with other entries of its metadata; None leaves one out."""
    from safetensors.numpy import load_file, save_file

    modelfile.write(detector(), path)
    _, metadata = read_safetensors(path)
    save_file(load_file(path), path, {key: text for key, text in {**metadata, **changes}.items() if text is not None})


@pytest.mark.parametrize("value", [None, "{", "[]", "7", "null", json.dumps({**TENSORFLOW.to_json(), "iou": 7})])
def test_hostile_decodings_in_files(tmp_path, value):
    with_metadata(tmp_path / "h.safetensors", decoding=value)
    with pytest.raises(ModelFileError, match=r"h\.safetensors: .*decoding"):
        modelfile.read(tmp_path / "h.safetensors")


# The real one --------------------------------------------------------------------------------------------------------


def test_the_published_weights_carry_the_default_boxes_we_make(coco):
    """TensorFlow's graph holds its default boxes as a constant, y0 x0 y1 x1, float32."""
    from mobilenet.zoo import carriers, published

    folder = carriers.fetch(published.find("coco")).folder
    manifest = json.loads((folder / "model.json").read_text())["weightsManifest"]
    data = b"".join((folder / name).read_bytes() for group in manifest for name in group["paths"])
    start = 0
    for weight in (weight for group in manifest for weight in group["weights"]):
        size = 4 * int(np.prod(weight["shape"], dtype=np.int64))
        if weight["name"] == "Postprocessor/ExpandDims":
            theirs = np.frombuffer(data[start : start + size], "<f4").reshape(-1, 4)[:, (1, 0, 3, 2)]
        start += size
    ours = boxes.to_corners(default_boxes(coco.network))
    assert ours.shape == (1917, 4)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=4 * 2.0**-24 * 1.5)
    assert coco.decoding == detection.TENSORFLOW
