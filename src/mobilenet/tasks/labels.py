"""Names of the classes that published networks tell apart, in the order of their outputs."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from ..network.layers import Task

Labels = tuple[tuple[str, ...], tuple[str, ...]]
"""(names, ids)."""

COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella,
-, -, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove,
skateboard, surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple,
sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining
table, -, -, toilet, -, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, -, book, clock, vase, scissors, teddy bear, hair drier, toothbrush
"""
"""By category id from 1; a dash where the ids have a gap."""

VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)


def known(task: Task, classes: int) -> Labels | None:
    """The labels of a set that has this many classes for this task, or None."""
    if task == "classification" and classes in (1000, 1001):
        return imagenet(classes)
    if task == "detection" and classes in (80, 90):
        return coco(classes)
    if task == "segmentation" and classes == 21:
        return tuple(VOC.split()), ()
    return None


@cache
def imagenet(classes: int = 1000) -> Labels:
    """Short names and WordNet ids for 1000 classes, or 1001 with TensorFlow's background class first."""
    lines = files(__package__).joinpath("imagenet.tsv").read_text("utf-8").splitlines()
    ids, names = zip(*(line.split("\t") for line in lines), strict=True)
    return (("background", *names), ("background", *ids)) if classes == 1001 else (names, ids)


def coco(classes: int = 80) -> Labels:
    """Names and category ids of the 80 classes, or of all 90 ids; those without a class are called ``unused 12``."""
    names = " ".join(COCO.split()).split(", ")
    pairs = [(name, str(number)) for number, name in enumerate(names, start=1) if name != "-" or classes == 90]
    return tuple(f"unused {number}" if name == "-" else name for name, number in pairs), tuple(number for _, number in pairs)


def normalize_label(name: str) -> str:
    return name.casefold().replace("_", " ")
