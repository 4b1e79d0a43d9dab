"""``mobilenet recipes``."""

from __future__ import annotations

import click

from ..errors import UsageError
from .shell import command, json_option, print_json
from .tables import recipes_table


@command
@json_option
def recipes(as_json: bool) -> None:
    """List the training recipes: what each needs, takes and reached.

    "Reached" are measured runs of the recipe as it is: the mean of its seeds, on validation images. Compare it with what the
    start knew: a recipe without a start begins with random weights. 'mobilenet train RECIPE --print' shows all settings.
    """
    try:
        from ..training.recipes.listing import listing
    except ImportError as error:
        raise UsageError(f"recipes: {error}; pip install 'mobilenet[train]'") from error
    found = listing()
    if as_json:
        print_json([entry.to_json() for entry in found])
    else:
        click.echo(recipes_table(found))
