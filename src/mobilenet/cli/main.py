"""The command ``mobilenet``: a table of its commands, each imported when it is called.

To add a command, write one file with a function under `shell.command`, and one line in `COMMANDS`.
"""

from __future__ import annotations

import importlib

import click

from ..values import Value


class Entry(Value):
    """Where a command is, and its line in ``mobilenet --help``."""

    module: str
    summary: str


COMMANDS = {
    "bench": Entry("bench", "Time the engine and other runtimes on the same weights and image."),
    "card": Entry("hub", "Write a model's card: what it does, how good and fast it is, what it cannot do."),
    "check": Entry("check", "Tell what labeled images hold, and what is wrong with them."),
    "compare": Entry("compare", "Compare two models, runtimes or exported files on the same images."),
    "convert": Entry("convert", "Convert weights of other libraries to a model file."),
    "cost": Entry("network", "Count parameters, multiply-adds and activation memory, layer by layer."),
    "evaluate": Entry("evaluate", "Score a model on labeled images."),
    "export": Entry("export", "Write a model in another format, proved by that format's own runtime."),
    "fetch": Entry("models", "Download a known model into the cache."),
    "info": Entry("models", "Tell what a model is: network, size, cost, accuracy, labels, preprocessing, source."),
    "models": Entry("models", "List the known models."),
    "paper": Entry("paper", "Make the papers' claims, tables and figures again, as a page."),
    "predict": Entry("predict", "Name what images show: labels, boxes or masks."),
    "push": Entry("hub", "Upload a model to the Hugging Face hub, with its card."),
    "quantize": Entry("quantize", "Make an integer model of a float model: int8 weights, uint8 activations."),
    "recipes": Entry("recipes", "List the training recipes: what each needs, takes and reached."),
    "serve": Entry("serve", "Serve models over HTTP, with a page to try them."),
    "train": Entry("train", "Train a network by a recipe."),
}


class LazyGroup(click.Group):
    """A group whose help comes from `COMMANDS`, so that it imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name].module}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="mobilenet")
def main() -> None:
    """MobileNets from the paper to the device: predict, measure, convert, quantize, train."""
