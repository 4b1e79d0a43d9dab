"""Labeled images without torch: each layout that people keep them in, read as records of an image and plain values.

    records = open_records("my_images", "classification", "val")
    records.labels                      # names of the classes
    for record in records:
        record.open(), record.truth     # a Pillow image, and what is true of it

Training turns records into tensors (`training.input`), evaluation scores a predictor on them (`predict.evaluate`).
`data.open` recognizes the layout; `data.layout` says how to add one.
"""

from .classes import Classes
from .division import Divided
from .findings import Findings
from .layout import SPLITS, DataError, DatasetLayout, Split
from .open import VAL_SHARE, open_held_out, open_records, open_training, recognize
from .records import (
    ListedRecords,
    Mask,
    MaskFile,
    Objects,
    Record,
    Records,
    Selection,
    Subset,
    Truth,
    coco_truth,
    file_records,
)
from .shapes import Shapes

__all__ = [
    "SPLITS",
    "VAL_SHARE",
    "Classes",
    "DataError",
    "DatasetLayout",
    "Divided",
    "Findings",
    "ListedRecords",
    "Mask",
    "MaskFile",
    "Objects",
    "Record",
    "Records",
    "Selection",
    "Shapes",
    "Split",
    "Subset",
    "Truth",
    "coco_truth",
    "file_records",
    "open_held_out",
    "open_records",
    "open_training",
    "recognize",
]
