"""Appends finished runs to results/training.jsonl: recipe, changed settings, seed, speed, first and last losses and scores.

    python tools/record_training.py RUN... [--note TEXT]

Everything is read from the runs' folders; the speed is that of the whole run without scoring. Runs of `finetune` depend on
their images; tools/measure_finetune.py records them in results/finetune.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

from mobilenet.bench import history
from mobilenet.training.recipes.builtin import RECIPES
from mobilenet.training.recipes.recipe import Recipe
from mobilenet.training.run.best import METRICS
from mobilenet.training.run.folder import flat_settings

ROOT = Path(__file__).resolve().parents[1]


def row(run: Path) -> dict[str, Any]:
    recipe = json.loads((run / "recipe.json").read_text())
    if recipe["name"] not in RECIPES:
        raise SystemExit(f"{run}: its recipe {recipe['name']} is none of {', '.join(RECIPES)}; see tools/measure_finetune.py")
    standard = flat_settings(RECIPES[recipe["name"]]().to_json())
    steps, scores = logged(run)
    if not (run / "model.safetensors").exists():
        raise SystemExit(f"{run}: no model file; the run has not ended; finish it with --resume")
    counts = [line["step"] - before for line, before in zip(steps, [0] + [line["step"] for line in steps], strict=False)]
    seconds = [count * recipe["batch"] / line["images_per_second"] for count, line in zip(counts, steps, strict=True)]
    waited = sum(line["data_share"] * each for line, each in zip(steps, seconds, strict=True))
    return {
        **history.origin(ROOT),
        "recipe": recipe["name"],
        "set": {key: value for key, value in flat_settings(recipe).items() if standard.get(key) != value},
        "seed": recipe["seed"], "epochs": recipe["epochs"], "batch": recipe["batch"], "precision": recipe["precision"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "torch": torch.__version__,
        "seconds_per_epoch": round(sum(seconds) / recipe["epochs"], 1),
        "images_per_second": round(sum(counts) * recipe["batch"] / sum(seconds), 1),
        "data_share": round(waited / sum(seconds), 4),
        "training_seconds": round(sum(seconds), 1), "scoring_seconds": round(sum(line["seconds"] for line in scores), 1),
        "losses": [round(line["loss"], 4) for line in (steps[0], steps[-1])],
        "scored": scores[-1]["images"], "failed": scores[-1]["failed"],
        "first": {"epoch": scores[0]["epoch"], **scores[0]["metrics"]}, "last": scores[-1]["metrics"],
    }  # fmt: skip


def logged(run: Path) -> tuple[list[Any], list[Any]]:
    """The log's lines of steps, and those of scores."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line], [line for line in lines if "metrics" in line]


def finetune_row(run: Path) -> dict[str, Any]:
    """What a finished run of `finetune` says of itself: the plan, the score of the start, the best and the last."""
    recipe = json.loads((run / "recipe.json").read_text())
    steps, scores = logged(run)
    best = max(scores, key=lambda line: (line["metrics"][METRICS[Recipe.from_json(recipe).task]] or 0, line["step"]))
    return {
        "start": recipe["network"]["start"], "epochs": recipe["epochs"], "steps": steps[-1]["step"], "batch": recipe["batch"],
        "resolution": recipe["resolution"], "lr": recipe["lr"], "kept": recipe["averaging"]["start"],
        "scored": scores[-1]["images"], "scoring_seconds": round(sum(line["seconds"] for line in scores), 1),
        "losses": [round(line["loss"], 4) for line in (steps[0], steps[-1])],
        "start_score": scores[0]["metrics"], "best_epoch": best["epoch"], "best": best["metrics"],
        "last": scores[-1]["metrics"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--note", help="what a reader must know, for example other work on the machine")
    arguments = parser.parse_args()
    rows = [row(run) | ({"note": arguments.note} if arguments.note else {}) for run in arguments.runs]
    history.append(ROOT, "training", rows)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
