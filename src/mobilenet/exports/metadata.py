"""What a user of an exported file must know beside the network: labels, preprocessing, decoding, where it comes from."""

from __future__ import annotations

from ..modelfile import ModelFile, metadata_of

KEYS = ("labels", "label_ids", "background", "preprocessing", "decoding", "provenance")


def texts(model: ModelFile) -> dict[str, str]:
    """``task`` and ``architecture`` as they are, and the texts of a model file under `KEYS`, which are JSON.

    A detector's labels are those of its outputs, in which a class without a name has a place too.
    """
    content = metadata_of(model)
    network = model.network
    return {
        "task": network.task,
        "architecture": network.architecture,
        **{key: content[key] for key in KEYS if key in content},
    }
