"""The trainings behind Figures 5 and 6 and MobileNetV1's Table 5: small enough for two processor cores, each of several seeds.

A run is the recipe ``imagenette`` with other settings. All runs see the same images in the same order if they have the same
seed, so two variants are compared seed by seed. Blocks with a shortcut do not start as the identity here, as that would favor
the variants that have shortcuts.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...bench import history
from ...errors import MobilenetError, UsageError
from ...files import WriteError
from ...network.cost import cost
from ...network.mobilenet import MOBILENET_V1_SHALLOW
from ...values import Value
from .positive import positive_in_file

if TYPE_CHECKING:
    from ...training.recipes.recipe import Recipe

Row = history.Row
RECIPE, NUM_CLASSES = "imagenette", 10
LAST = "last.safetensors"
IMAGES_PER_CLASS = 4
ROWS = "paper_runs"
"""The name of the file of rows in ``results/``."""

USUAL = {
    "network.zero_residuals": "false",
    "network.settings.width": "0.5",
    "resolution": "64",
    "sizes": "[]",
    "epochs": "5",
    "workers": "0",
}
"""What all runs change in the recipe; a variant changes more."""

WIDTHS, SIDES = ("0.35", "0.5", "0.75", "1.0"), ("64", "96", "128")
EXPANSIONS, EXPANSION_WIDTHS = ("1", "2", "3", "4", "5", "6", "8", "10"), ("0.35", "0.75")
BASE = "w0.5-64"


class Variant(Value):
    """A network of the grid.

    Attributes:
        name: of its runs, for example ``w0.5-64-relu6``.
        changes: of `USUAL`, by the recipe's paths.
        seeds: number of runs, with the seeds 0, 1, ....
    """

    name: str
    changes: Mapping[str, str]
    seeds: int = 3

    @property
    def settings(self) -> dict[str, str]:
        return {**USUAL, **self.changes}


def size_variant(width: str, side: str, expansion: str | None = None) -> Variant:
    """MobileNetV2 of a width at a resolution, with its own expansions or one for all blocks but the first."""
    changes = {"network.settings.width": width, "resolution": side}
    if expansion is None:
        return Variant(f"w{width}-{side}", changes)
    return Variant(f"w{width}-{side}-t{expansion}", {**changes, "network.settings.expansion": expansion})


BASE_VARIANT = Variant(BASE, {}, seeds=5)
RELU6 = Variant(f"{BASE}-relu6", {"network.settings.projection": "relu6"}, seeds=5)
EXPANSION_SHORTCUT = Variant(f"{BASE}-expansion-shortcut", {"network.settings.shortcut": "expansion"}, seeds=5)
NO_SHORTCUT = Variant(f"{BASE}-no-shortcut", {"network.settings.shortcut": "none"}, seeds=5)
V1 = {"network.architecture": "mobilenet_v1"}
V1_THIN = Variant("v1-0.75-64", {**V1, "network.settings.width": "0.75"})
V1_SHALLOW = Variant(
    "v1-shallow-64",
    {**V1, "network.settings.width": "1.0", "network.settings.rows": str([list(row) for row in MOBILENET_V1_SHALLOW])},
)

ABLATIONS = (BASE_VARIANT, RELU6, EXPANSION_SHORTCUT, NO_SHORTCUT)
DEPTHS = (V1_THIN, V1_SHALLOW)
SIZES = {
    (width, side): BASE_VARIANT if (width, side) == ("0.5", "64") else size_variant(width, side)
    for side in SIDES
    for width in WIDTHS
}
"""The variants of Figure 5 by width and side."""

EXPANDED = {
    (width, t): SIZES[width, "64"] if t == "6" else size_variant(width, "64", t)
    for t in EXPANSIONS
    for width in EXPANSION_WIDTHS
}
"""The variants of section 6.4's expansions by width and t; t = 6 is a variant of `SIZES`."""


class Run(Value):
    """A training of the grid: a variant and a seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        return f"{self.variant.name}-seed{self.seed}"

    @property
    def settings(self) -> dict[str, str]:
        return {**self.variant.settings, "seed": str(self.seed)}


def runs(*groups: Sequence[Variant]) -> list[Run]:
    """The runs of some variants, each once: of each group first all with seed 0, then all with seed 1, ...."""
    found: dict[str, Run] = {}
    for group in groups:
        for seed in range(max((variant.seeds for variant in group), default=0)):
            for variant in group:
                if seed < variant.seeds:
                    run = Run(variant, seed)
                    found.setdefault(run.name, run)
    return list(found.values())


def whole_grid() -> list[Run]:
    """All runs, the most telling first."""
    return runs(ABLATIONS, DEPTHS, tuple(EXPANDED.values()), tuple(SIZES.values()))


def recorded(rows: Sequence[Mapping[str, object]], run: Run) -> Mapping[str, object] | None:
    """The newest row of the run, of the same settings; None if it has not been trained."""
    same = [row for row in rows if row.get("run") == run.name and row.get("set") == run.settings]
    return same[-1] if same else None


def missing(rows: Sequence[Mapping[str, object]], wanted: Sequence[Run]) -> list[Run]:
    return [run for run in wanted if recorded(rows, run) is None]


def recipe_of(run: Run) -> Recipe:
    """The run as a recipe. Raises UsageError without the extra ``[train]``."""
    try:
        from ...training.recipes.builtin import find
        from ...training.recipes.recipe import with_settings
    except ImportError as error:
        raise UsageError(f"trainings of the paper: {error}; pip install 'mobilenet[train]'") from error
    return with_settings(find(RECIPE), run.settings)


def train_missing(
    wanted: Sequence[Run], data: Path, results: Path, work: Path, say: Callable[[str], None] = print
) -> list[Row]:
    """Trains one after the other what has no row in ``results/paper_runs.jsonl`` yet; the rows, which are appended to it.

    A run that was interrupted goes on from its checkpoint in the folder `work`; the folder of a finished run is removed.

    Args:
        data: Imagenette's folder, with ``train`` and ``val``.
        results: the folder of the rows.
        work: a folder for runs in progress, one folder each.

    Raises:
        UsageError: the extra ``[train]`` is missing, or `data` is no data set.
        MobilenetError: a training was interrupted or its disk is full; called again, it goes on.
    """
    made, left = list[Row](), missing(rows_of(results), wanted)
    for number, run in enumerate(left, start=1):
        say(f"{run.name}: training {number} of {len(left)}")
        try:
            row = train_one(run, data, work / run.name, results.parent)
        except UsageError:
            raise
        except MobilenetError as error:
            raise stopped(run, error) from error
        append(results, row)
        shutil.rmtree(work / run.name, ignore_errors=True)
        say(f"{run.name}: top-1 {row['top1']} after {row['seconds']} s of training")
        made.append(row)
    return made


def stopped(run: Run, error: MobilenetError) -> MobilenetError:
    """What to raise when the training of a run stopped: the remedy is the grid's, and the exit status the training's."""
    reason = str(error).partition(";")[0]
    told = MobilenetError(f"{run.name}: {reason}; give the same command again, it goes on from there")
    told.status = error.status
    return told


def rows_of(results: Path) -> list[Row]:
    """The rows so far. None without the file; a line that a kill cut off is none."""
    path, found = results / f"{ROWS}.jsonl", list[Row]()
    for text in path.read_text("utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(json.loads(text))
    return found


def append(results: Path, row: Row, name: str = ROWS) -> None:
    """Appends the row to ``NAME.jsonl``, after a line break if a kill cut off the last line.

    Raises WriteError if the file cannot be written.
    """
    path = results / f"{name}.jsonl"
    try:
        cut = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * cut + json.dumps(row) + "\n")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror}); choose a folder that exists and has room") from error


def train_one(run: Run, data: Path, folder: Path, checkout: Path) -> Row:
    """The row of one run, after it is trained in `folder`, or trained on. `checkout` is where git knows the commit."""
    recipe = recipe_of(run)
    gc.set_threshold(700, 10, 10)  # Python's own: the command lets garbage lie, and a run is long
    import torch

    from ...training.run.log import LOG, read
    from ...training.run.loop import train

    train(recipe, data, folder, resume=True, loggers=())
    lines = read(folder / LOG)
    steps, scores = [line for line in lines if "loss" in line], [line for line in lines if "metrics" in line]
    ledger = cost(recipe.network.network(recipe.resolution, NUM_CLASSES))
    counts = [line["step"] - before for line, before in zip(steps, [0, *(line["step"] for line in steps)], strict=False)]
    seconds = sum(count * recipe.batch / line["images_per_second"] for count, line in zip(counts, steps, strict=True))
    top1 = [round(line["metrics"]["top1"] or 0.0, 6) for line in scores]
    positive = positive_in_file(folder / LAST, validation_images(data)) if run.seed == 0 else ()
    return {
        **history.origin(checkout),
        "run": run.name,
        "set": run.settings,
        "seed": run.seed,
        "params": ledger.params,
        "madds": ledger.madds,
        "top1": top1[-1],
        "scores": [[round(line["epoch"], 4), score] for line, score in zip(scores, top1, strict=True)],
        "losses": [round(line["loss"], 4) for line in steps],
        "images": scores[-1]["images"],
        "seconds": round(seconds, 1),
        "scoring_seconds": round(sum(line["seconds"] for line in scores), 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "positive": [list(each) for each in positive],
    }


def validation_images(data: Path) -> list[Path]:
    """A few validation images of each class, always the same: for Figure 7."""
    folders = sorted(folder for folder in (data / "val").iterdir() if folder.is_dir())
    return [path for folder in folders for path in sorted(folder.iterdir())[:IMAGES_PER_CLASS]]
