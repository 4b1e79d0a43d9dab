"""``mobilenet card`` and ``mobilenet push``: what a model is, for those who may use it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .shell import command, say, tell

samples_option = click.option(
    "--samples", multiple=True, metavar="INPUT", help="An image or a folder: its first images are drawn with their answers."
)


@command
@click.argument("model")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for README.md, index.html and samples; else Markdown here."
)
@samples_option
def card(model: str, out: Path | None, samples: Sequence[str]) -> None:
    """Write a model's card: what it does, how good and fast it is, what it cannot do.

    MODEL is the folder of a run, a model file, the name of a known model, or hf://user/name.
    """
    from ..hub.card import make_card
    from ..hub.folder import write_card
    from ..hub.markdown import markdown

    if out is None:
        if samples:
            raise click.UsageError("--samples: are files beside the card; give --out too")
        click.echo(markdown(make_card(model)), nl=False)
        return
    for path in write_card(make_card(model, samples), out):
        tell(str(path))


@command
@click.argument("model")
@click.argument("address", metavar="USER/NAME")
@click.option("--private", is_flag=True, help="Make the repository private, if it is made now.")
@samples_option
def push(model: str, address: str, private: bool, samples: Sequence[str]) -> None:
    """Upload a model to the Hugging Face hub, with its card.

    MODEL is the folder of a run, a model file or the name of a known model. Log in with 'hf auth login' or HF_TOKEN.
    """
    from ..hub.push import push as push_model

    pushed = push_model(model, address, samples, private)
    say(f"pushed to {pushed.url}, sha256 of the model file {pushed.sha256}")
    tell(f"hf://{address}@{pushed.commit}")
