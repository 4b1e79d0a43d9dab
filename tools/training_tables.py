"""The tables of docs/training.md, and what `mobilenet recipes` says of measured runs, for `tables.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markdown_table import markdown

from mobilenet.bench import history
from mobilenet.training.recipes.builtin import find

ROOT = Path(__file__).resolve().parents[1]


def start(recipe: str) -> str:
    """What a recipe of the paper's networks begins from."""
    source = find(recipe).network.start
    return "random weights" if source is None else f"`{source}`'s backbone"


def training() -> str:
    """The last record of every recipe, seed and change of settings."""
    last = {(row["recipe"], json.dumps(row["set"]), row["seed"]): row for row in history.rows(ROOT, "training")}
    rows = []
    for row in last.values():
        name, first, score = next((name, row["first"][name], row["last"][name]) for name in SCORES if name in row["last"])
        rows.append(
            (
                f"`{row['recipe']}`",
                start(row["recipe"]),
                str(row["seed"]),
                str(row["epochs"]),
                f"{row['seconds_per_epoch']:.0f}",
                f"{row['images_per_second']:.0f}",
                f"{row['data_share']:.0%}",
                f"{row['losses'][0]:.2f}",
                f"{row['losses'][1]:.2f}",
                f"{first:.3f} ({row['first']['epoch']:.0f})",
                f"{name} {score:.3f}",
                str(row["scored"]),
                row.get("note", ""),
            )
        )
    header = (
        "recipe",
        "start",
        "seed",
        "epochs",
        "s / epoch",
        "images/s",
        "waiting for data",
        "first loss",
        "last loss",
        "first score (epoch)",
        "last score",
        "images",
        "conditions",
    )
    return markdown(header, rows)


SCORES = ("top1", "mAP50", "mIoU")


def finetune() -> str:
    """The last record of every set and seed."""
    last = {(row["data"], row["seed"]): row for row in history.rows(ROOT, "finetune")}
    rows = []
    for (data, seed), row in sorted(last.items()):
        name, both = row["metric"], (row["start_score"], row["best"])
        first, best = (f"{score[name]:.3f}" + (f" ({score['mAP']:.3f})" if "mAP" in score else "") for score in both)
        plan = f"{row['epochs']} of {row['steps'] // row['epochs']} steps"
        times = f"{row['processor_seconds'] / 2:.0f}", f"{row['limit_seconds']:.0f}"
        rows.append(
            (
                f"`{data}`",
                f"`{row['start']}`",
                row["knew"],
                str(seed),
                plan,
                *times,
                name,
                first,
                best,
                f"{row['target']:g}",
                row["commit"],
            )
        )
    header = (
        "set",
        "start",
        "what it knew",
        "seed",
        "epochs",
        "s",
        "limit",
        "metric",
        "start's score",
        "best score",
        "aim",
        "commit",
    )
    return markdown(header, rows)


def training_speed() -> str:
    """The last measurement of every precision and accelerator: this loop beside torchvision's."""
    last = {(row["accelerator"], row["precision"], row["batch"]): row for row in history.rows(ROOT, "training_speed")}
    rows = []
    for (accelerator, precision, batch), row in last.items():
        for side in ("mobilenet", "torchvision"):
            measured = row[side]
            rows.append(
                (
                    f"{side}, {accelerator}, {precision}, batch {batch}",
                    f"{measured['images_per_second']:.0f}",
                    f"{measured['least']:.0f} to {measured['most']:.0f}",
                    f"{measured['data_share']:.0%}",
                    f"{measured['peak_rss_bytes'] / 2**20:,.0f}",
                    f"{measured['last_loss']:.2f}",
                )
            )
    return markdown(("", "images/s", "range", "waiting for data", "peak MiB", "loss at the end"), rows)


def processor(row: dict[str, Any]) -> str:
    """What a row was measured on; the rows before 2026-11-21 name only the architecture."""
    return str(row.get("processor", row["machine"]))


def reached() -> str:
    """The last run of every recipe and seed with no other setting changed, for ``mobilenet recipes``."""
    last = {}
    for row in history.rows(ROOT, "training"):
        if not row["set"].keys() - {"seed", "workers"}:
            metric = next(name for name in SCORES if name in row["last"])
            last[row["recipe"], row["seed"]] = {
                "recipe": row["recipe"], "seed": row["seed"], "metric": metric, "value": round(row["last"][metric], 4),
                "seconds": round(row["training_seconds"] + row["scoring_seconds"]), "machine": processor(row),
                "note": row.get("note", ""), "date": row["date"], "commit": row["commit"],
            }  # fmt: skip
    return json.dumps(list(last.values()), indent=1) + "\n"


FUNCTIONS = (finetune, training, training_speed)
