"""Core ML packages (``.mlpackage`` folders). Needs the extra ``[coreml]``; they can be run on macOS alone.

coremltools writes a date and random names into a package. They are left out here, so that the same model gives the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .coreml import Var, identifier, run_network
from .coreml_whole import CONFIDENCE, COORDINATES, DECODING, answers, normalized, preview, unique_labels
from .exporter import Content, Exporter, ExportError, Opened, PlainFile, WholeFile
from .metadata import texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..modelfile import ModelFile
    from ..tensors import Array, Floats
    from .exporter import WholeAnswer

    Spec = Any
    """A message of Core ML's protocol buffers, or a class or module of coremltools, which brings no types."""

AUTHOR = "com.apple.CoreML"  # as every program that reads packages wants it
NAMESPACE = uuid.UUID(int=0)
DATES = "com.github.apple.coremltools.conversion_date"
KEY = "mobilenet."
"""How the keys of our texts begin in a package's metadata."""


class CoreMLExporter(Exporter):
    """One image at once: a program for any number of images does not run on the Neural Engine.

    The network alone has an input ``input``, (1, 3, H, W) float32, normalized, and the network's outputs, in whose names dots
    are underscores. `coreml_whole` says what whole models answer. In 16 bits they compute in float16, but decode
    boxes in float32.
    """

    script = """
import json
import coremltools


def opened(path):
    model = coremltools.models.MLModel(str(path))
    names = json.loads(model.user_defined_metadata["mobilenet.outputs"])

    def run(image):
        found = model.predict({"input": image})
        return {name: found[key].astype("float32") for key, name in names.items()}

    return run
"""

    def write(self, content: Content, path: Path) -> None:
        with quiet():
            model = converted(content)
            spec = model.get_spec()
            weights = (Path(model.weights_dir) / "weight.bin").read_bytes()
        describe(spec, content)
        if content.whole and content.network.task == "detection":
            spec = with_nms(spec, content.model)
        package(path, spec.SerializeToString(deterministic=True), weights)

    def open(self, path: Path, model: ModelFile, threads: int | None = 1) -> Opened:
        with quiet():
            import coremltools as ct

            try:
                opened = ct.models.MLModel(str(path))
            except Exception as error:  # classes of its own, each derived from Exception
                raise ExportError(f"{path}: Core ML refuses it ({error})") from error
        texts_of = dict(opened.user_defined_metadata)
        precision, title = texts_of[f"{KEY}precision"], f"Core ML, coremltools {ct.__version__}"
        names: dict[str, str] = json.loads(texts_of[f"{KEY}outputs"])

        def network(x: Floats) -> dict[str, Floats]:
            found = opened.predict({"input": x})
            return {name: np.asarray(found[key], np.float32) for key, name in names.items()}

        if names:
            return PlainFile(title, precision, model.network, network, threads)
        return WholeFile(title, precision, lambda pixels: answer(opened.predict, pixels, model), model.preprocessing)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without coremltools' progress bars and its notes on what it does not find here."""
    logger, before = logging.getLogger("coremltools"), logging.getLogger("coremltools").level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)


def converted(content: Content) -> Spec:
    """The program of a content as coremltools' model."""
    import coremltools as ct
    from coremltools.converters.mil import Builder as mb

    height, width = content.network.resolution

    # the builder takes the name of a program's input from the function's argument
    def whole(image: Var) -> tuple[Var, ...]:
        return answers(content.model, run_network(content, normalized(image, content.model.preprocessing)))

    def network(input: Var) -> tuple[Var, ...]:
        outputs = run_network(content, input)
        return tuple(
            value if value.name == identifier(name) else mb.identity(x=value, name=identifier(name))
            for name, value in outputs.items()
        )

    target = ct.target.iOS16
    start = mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, height, width))], opset_version=target)
    program = start(whole if content.whole else network)
    classes = None
    if content.whole and content.network.task == "classification":
        classes = ct.ClassifierConfig(unique_labels(content.model))
    return ct.convert(
        program,
        source="milinternal",
        convert_to="mlprogram",
        compute_precision=compute_precision(content),
        minimum_deployment_target=target,
        classifier_config=classes,
        skip_model_load=True,
    )


def compute_precision(content: Content) -> Spec:
    """float32, or float16 but for what decodes boxes."""
    import coremltools as ct

    if content.precision != "fp16":
        return ct.precision.FLOAT32

    def in_half(operation: Spec) -> bool:
        return not operation.name.startswith(DECODING)

    return ct.transform.FP16ComputePrecision(op_selector=in_half)


def describe(spec: Spec, content: Content) -> None:
    """Says what inputs and outputs are, and writes the texts of the model."""
    model, metadata = content.model, spec.description.metadata
    height, width = content.network.resolution
    if content.whole:
        from coremltools.proto import FeatureTypes_pb2

        (image,) = spec.description.input
        image.type.imageType.width, image.type.imageType.height = width, height
        image.type.imageType.colorSpace = FeatureTypes_pb2.ImageFeatureType.ColorSpace.Value("RGB")
        image.shortDescription = f"RGB, {width} x {height} pixels"
    outputs = {} if content.whole else {identifier(name): name for name in content.network.outputs}
    metadata.shortDescription = f"{content.network.architecture}, {content.network.task}"
    metadata.license = str(model.provenance.get("licence", ""))
    metadata.author = str(model.provenance.get("source", ""))
    metadata.userDefined.pop(DATES, None)
    own = {**texts(content), "outputs": json.dumps(outputs)}
    for key, value in own.items():
        metadata.userDefined[f"{KEY}{key}"] = value
    for key, value in (preview(model) if content.whole else {}).items():
        metadata.userDefined[key] = value


def with_nms(spec: Spec, model: ModelFile) -> Spec:
    """A pipeline of the program and Core ML's own NMS, as Vision reads object detectors."""
    from coremltools.proto import Model_pb2

    decoding, labels = model.decoding, unique_labels(model)
    assert decoding is not None
    ends = {each.name: each for each in spec.description.output}
    after, names = Model_pb2.Model(specificationVersion=spec.specificationVersion), (CONFIDENCE, COORDINATES)
    for name, result, length in zip(names, ("confidence", "coordinates"), (len(labels), 4), strict=True):
        after.description.input.add().CopyFrom(ends[name])
        output = after.description.output.add()
        output.CopyFrom(ends[name])
        output.name = result
        del output.type.multiArrayType.shape[:]
        for least, most in ((0, -1), (length, length)):
            output.type.multiArrayType.shapeRange.sizeRanges.add(lowerBound=least, upperBound=most)
    nms = after.nonMaximumSuppression
    nms.confidenceInputFeatureName, nms.coordinatesInputFeatureName = names
    nms.confidenceOutputFeatureName, nms.coordinatesOutputFeatureName = "confidence", "coordinates"
    nms.iouThresholdInputFeatureName, nms.confidenceThresholdInputFeatureName = "iouThreshold", "confidenceThreshold"
    nms.iouThreshold, nms.confidenceThreshold = decoding.iou, decoding.threshold
    nms.pickTop.perClass = True
    nms.stringClassLabels.vector.extend(labels)
    whole = Model_pb2.Model(specificationVersion=spec.specificationVersion)
    whole.description.input.add().CopyFrom(spec.description.input[0])
    for name, value in (("iouThreshold", decoding.iou), ("confidenceThreshold", decoding.threshold)):
        given = whole.description.input.add(name=name, shortDescription=f"by default {value}")
        given.type.doubleType.SetInParent()
        given.type.isOptional = True
    for output in after.description.output:
        whole.description.output.add().CopyFrom(output)
    whole.description.metadata.CopyFrom(spec.description.metadata)
    for name, part in (("network", spec), ("nms", after)):
        whole.pipeline.models.add().CopyFrom(part)
        whole.pipeline.names.append(name)
    return whole


def package(path: Path, model: bytes, weights: bytes) -> None:
    """The folder of a package: a manifest that lists its two files under names that do not change."""
    items = {}
    for name, place, what in (("model.mlmodel", "model.mlmodel", "Specification"), ("weights", "weights", "Weights")):
        entry = {"author": AUTHOR, "description": f"CoreML Model {what}", "name": name, "path": f"{AUTHOR}/{place}"}
        items[str(uuid.uuid5(NAMESPACE, name))] = entry
    root = str(uuid.uuid5(NAMESPACE, "model.mlmodel"))
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": root}
    data = path / "Data" / AUTHOR
    (data / "weights").mkdir(parents=True)
    (data / "model.mlmodel").write_bytes(model)
    (data / "weights" / "weight.bin").write_bytes(weights)
    (path / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", "utf-8")


def answer(
    predict: Callable[[dict[str, object]], dict[str, Array]], pixels: NDArray[np.uint8], model: ModelFile
) -> WholeAnswer:
    """What a whole package answers for an image of any size, which its caller brings to the package's size.

    An image of that size is taken as it is.
    """
    preprocessing, (rows, columns) = model.preprocessing, pixels.shape[:2]
    image, as_it_is = Image.fromarray(pixels), (rows, columns) == preprocessing.size
    found = predict({"image": image if as_it_is else preprocessing.resize_and_crop(image)})
    match model.network.task:
        case "detection":
            x0, y0, x1, y1 = (0, 0, columns, rows) if as_it_is else preprocessing.window((columns, rows))
            scores, (center, sides) = found["confidence"], np.split(found["coordinates"], 2, axis=1)
            corners = np.concatenate([center - sides / 2, center + sides / 2], axis=1) * ([x1 - x0, y1 - y0] * 2)
            boxes = corners.clip(0, [columns, rows] * 2).astype(np.float32)
            best = np.argsort(-scores.max(axis=1, initial=0), kind="stable")
            classes = scores.argmax(axis=1) if len(scores) else np.empty(0, np.int64)
            return {"boxes": boxes[best], "scores": scores.max(axis=1, initial=0)[best], "classes": classes[best]}
        case "segmentation":
            width, height = (columns, rows) if as_it_is else preprocessing.content((columns, rows))
            mask = Image.fromarray(found["mask"].astype(np.uint8)[:height, :width])
            return {"mask": np.asarray(mask.resize((columns, rows), Image.Resampling.NEAREST))}
        case _:
            by_label: dict[str, float] = found["classLabel_probs"]  # type: ignore[assignment]
            return {"scores": np.array([by_label[label] for label in unique_labels(model)], np.float32)}
