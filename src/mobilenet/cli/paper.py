"""``mobilenet paper``."""

from __future__ import annotations

from pathlib import Path

import click

from .shell import command, say, tell


@command
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the page.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Imagenette's folder, for the trainings.")
@click.option("--quick", is_flag=True, help="Train and measure nothing: take the recorded rows.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder of the recorded rows, that of a checkout.",
)
@click.option("--list", "as_list", is_flag=True, help="List the names of all sections, and do nothing.")
def paper(names: tuple[str, ...], out: Path | None, data: Path | None, quick: bool, results: Path, as_list: bool) -> None:
    """Make the papers' claims, tables and figures again, as a page.

    NAME is a section or a chapter, by default all. For each claim the page shows the published number, ours, and why they
    differ. It is written as HTML, Markdown and JSON, its figures as SVG and PNG.
    """
    from ..paper.contents import chosen
    from ..paper.sections.section import Material
    from ..paper.write import write_paper

    if as_list:
        for chapter in chosen(names):
            tell(f"{chapter.name}: {chapter.title}")
            for name in chapter.sections:
                tell(f"  {name}")
        return
    if out is None:
        raise click.UsageError("--out is missing; give a folder, for example --out out/paper")
    tell(str(write_paper(out, names, Material(results, data, say), quick)))
