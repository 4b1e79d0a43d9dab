"""Labels: the names of the classes that published networks know, in the order of their outputs."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ..network.layers import Task


class Labels(NamedTuple):
    """Of the classes, in the order of a network's outputs.

    Attributes:
        names: as results show them.
        ids: the data set's own, as many as names, or none.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...] = ()


COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella,
-, -, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove,
skateboard, surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple,
sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining
table, -, -, toilet, -, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, -, book, clock, vase, scissors, teddy bear, hair drier, toothbrush
"""
"""Labels by category id, from 1; a dash marks an id without a class."""

VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)

SAME_NAMES = (
    "airplane aeroplane plane aircraft",
    "motorcycle motorbike",
    "bicycle bike pushbike",
    "car automobile",
    "person human people",
    "couch sofa settee",
    "tv television tvmonitor tvset monitor",
    "pottedplant houseplant",
    "cellphone mobilephone smartphone",
    "diningtable table",
    "refrigerator fridge",
    "hairdryer hairdrier blowdryer",
    "donut doughnut",
)
"""Names of the same thing in the sets that people know, in the form of `same_name`, the first of each line for all."""


def known(task: Task, classes: int) -> Labels | None:
    """The labels of the published data set with this many classes for this task, or None if there is none."""
    if task == "classification" and classes in (1000, 1001):
        return imagenet(classes)
    if task == "detection" and classes in (80, 90):
        return coco(classes)
    if task == "segmentation" and classes == 21:
        return Labels(tuple(VOC.split()))
    return None


@cache
def imagenet(classes: int = 1000) -> Labels:
    """Short names and WordNet ids of the 1000 classes, or of 1001 with TensorFlow's background class first."""
    from importlib.resources import files

    lines = files(__package__).joinpath("imagenet.tsv").read_text("utf-8").splitlines()
    ids, names = zip(*(line.split("\t") for line in lines), strict=True)
    return Labels(("background", *names), ("background", *ids)) if classes == 1001 else Labels(names, ids)


def coco(classes: int = 80) -> Labels:
    """Names and category ids of the 80 classes, or of all 90 ids; an id without a class is called ``unused 12``."""
    listed = " ".join(COCO.split()).split(", ")
    pairs = [(name, str(number)) for number, name in enumerate(listed, start=1) if name != "-" or classes == 90]
    names = tuple(f"unused {number}" if name == "-" else name for name, number in pairs)
    return Labels(names, tuple(number for _, number in pairs))


def classes_in_use(labels: Labels) -> list[int] | None:
    """The outputs that stand for a class, or None if all do: TensorFlow's detectors of COCO have one for every category id
    up to 90, and ten of these ids have no class (see `coco`)."""
    unused = {f"unused {label_id}" for label_id in labels.ids}.intersection(labels.names)
    return [index for index, label in enumerate(labels.names) if label not in unused] if unused else None


def without_unused(labels: Labels) -> Labels:
    """The labels and ids that users see: COCO's 80 with the category ids beside them."""
    used = classes_in_use(labels)
    return labels if used is None else Labels(tuple(labels.names[i] for i in used), tuple(labels.ids[i] for i in used))


def normalize_label(name: str) -> str:
    """The form in which labels are compared: case and underscores do not count."""
    return name.casefold().replace("_", " ")


@cache
def same_name(label: str) -> str:
    """One form for all spellings of a class's name: "Potted_Plant" and "pottedplant", "sofa" and "couch" (`SAME_NAMES`)."""
    letters = "".join(letter for letter in label.casefold() if letter.isalnum())
    names = {name: line.split()[0] for line in SAME_NAMES for name in line.split()}
    return names.get(letters, letters)
