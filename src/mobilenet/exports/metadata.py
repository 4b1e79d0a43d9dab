"""What a user of an exported file must know beside the network: labels, preprocessing, decoding, where it comes from."""

from __future__ import annotations

import json

from ..modelfile import metadata_of
from ..tasks.labels import Labels, without_unused
from .exporter import Content

KEYS = ("labels", "label_ids", "background", "preprocessing", "decoding", "provenance")


def texts(content: Content) -> dict[str, str]:
    """``task``, ``architecture`` and ``precision`` as they are, and the texts of a model file under `KEYS`, which are JSON.

    The labels are those that the outputs count: of a whole detector without the classes that have no name.
    """
    model = content.model
    if content.whole:
        names, ids = without_unused(Labels(model.labels, model.label_ids))
        labels = {"labels": json.dumps(names, ensure_ascii=False), "label_ids": json.dumps(ids)}
    else:
        labels = {}
    known = {**metadata_of(model), **labels}
    network = model.network
    return {
        "task": network.task,
        "architecture": network.architecture,
        "precision": content.precision,
        **{key: known[key] for key in KEYS if key in known},
    }
