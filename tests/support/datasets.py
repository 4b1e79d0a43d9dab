"""Datasets of the trainer, as the tests open them."""

from __future__ import annotations

from mobilenet.data import Shapes, open_records
from mobilenet.training.input import Dataset


def open_dataset(path, task, split="train", classes=None):
    return Dataset(open_records(path, task, split, classes))


def shapes(*args, **settings):
    return Dataset(Shapes(*args, **settings))
