"""``mobilenet predict``. numpy is imported only if the task needs it, pathlib and threads if an option or many images do."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from ..predict.work import Inputs, Work, ahead
from ..runtimes.backends import MAX_IMAGES_ON_ONE_THREAD, divided
from ..tasks.results import shown
from .answers import Account, Table
from .predictor import Rules, backend_option, device_option, load_predictor, precision_option, rule_options
from .shell import command, json_option, model_option, parse_bytes, say

if TYPE_CHECKING:
    from ..predict.clips import Stepping
    from ..predict.drawn import DrawnFolder
    from ..predict.output import Output
    from ..predict.settings_file import Setting
    from ..predict.work import Entry, Job
    from ..video.window import Window
    from .answers import Sink

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
SUFFIXES = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


@command
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option("--files-from", metavar="FILE", help="A file with the name of an input on each line; - for stdin. Or @FILE.")
@click.option("--recursive/--no-recursive", default=True, show_default=True, help="Take the images below a folder too.")
@model_option
@json_option
@click.option("--format", "kind", type=click.Choice(FORMATS), help="By default a table, or what the suffix of --output says.")
@click.option("--output", type=click.Path(), help="Write the answers to this file; a kill loses none.")
@click.option("--resume", is_flag=True, help="Go on with --output: inputs that it holds are skipped.")
@click.option(
    "--save", type=click.Path(file_okay=False), help="Folder for copies with the predictions drawn; never one in use."
)
@click.option("--every", type=click.IntRange(1), metavar="N", help="Take every N-th frame of videos; by default all.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="Or take at most so many frames of a second.")
@click.option("--show", is_flag=True, help="Show the frames of videos in a window, with the predictions drawn.")
@click.option("--top", type=click.IntRange(1), help="How many predictions to print; by default 5 of a classifier, else all.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Lowest score to print; by default 0.5 of a detector, else 0.")
@rule_options("views", "classes", "iou", "max_detections", "agnostic")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Images at work at once; by default one of a few, else one per core."
)
@click.option("--threads", type=click.IntRange(1, 256), help="Threads for one image; by default one.")
@backend_option
@device_option
@precision_option
@click.option(
    "--fast-decoding/--no-fast-decoding",
    default=True,
    show_default=True,
    help="Decode large JPEG files at a reduced scale: faster, a little less exact.",
)
@click.option("--cluster", metavar="ADDRESS", help="Answer on a Ray cluster: its address, or auto. --output is a folder then.")
@click.option("--column", help="With --cluster: the column of Parquet files or data sets that holds images or their names.")
@click.option(
    "--memory-budget", callback=parse_bytes, metavar="BYTES", help="Limit of the engine's activation memory, for example 2MB."
)
def predict(
    inputs: Sequence[str],
    files_from: str | None,
    recursive: bool,
    model: str,
    as_json: bool,
    kind: str | None,
    output: str | None,
    resume: bool,
    save: str | None,
    every: int | None,
    fps: float | None,
    show: bool,
    top: int | None,
    threshold: float | None,
    workers: int | None,
    threads: int | None,
    backend: str,
    device: str | None,
    precision: str | None,
    fast_decoding: bool,
    cluster: str | None,
    column: str | None,
    memory_budget: int | None,
    rules: Rules,
) -> None:
    """Name what images show: labels, boxes or masks.

    An INPUT is an image file, a folder, a quoted pattern such as 'photos/*.jpg', an http address, @LIST for a file of names, or
    - for an image on stdin. With PyAV also a video, camera:0, or a stream such as rtsp://HOST/PATH.
    """
    if not inputs and files_from is None:
        raise click.UsageError("Missing argument 'INPUT...'.")
    kind = format_of(kind, as_json, output)
    if resume and output is None:
        raise UsageError("--resume: goes on with a file; give --output too")
    if cluster is not None or column is not None:
        check_cluster(cluster, column, save is not None or as_json, every is not None or fps is not None or show)
        from .cluster import predict_on_cluster

        runtime = {"model": model, "backend": backend, "device": device, "threads": threads, "memory_budget": memory_budget}
        runtime.update(fast_decoding=fast_decoding, precision=precision)
        options = (recursive, column, output, kind, resume, top, threshold, workers)
        return predict_on_cluster(runtime, rules, str(cluster), inputs, files_from, *options)
    folder = None if save is None else drawn_folder(save, inputs, resume)
    settings = {"model": model, "top": top, "threshold": threshold, "precision": precision, "every": every, "fps": fps}
    settings["no-fast-decoding"] = not fast_decoding
    file = None if output is None else open_output(output, kind, resume, {**settings, **rules._asdict()})
    stepping = None if every is None and fps is None and not show else steps(every, fps, show)
    listed = Inputs(inputs, files_from, recursive, folder, None if file is None else file.held, stepping)
    jobs, many = listed.jobs(), True
    if not listed.waits_for_stdin:
        count, jobs = ahead(jobs, MAX_IMAGES_ON_ONE_THREAD + 1)
        many = count > MAX_IMAGES_ON_ONE_THREAD
    workers, threads = divided(backend, device, workers, threads, many)
    predictor = load_predictor(model, backend, threads, memory_budget, fast_decoding, device, workers, rules, precision)
    top, threshold = shown(predictor.task, top, threshold)
    if folder is not None:
        folder.make()
    sink: Sink = file or printer(kind, as_json, threshold)
    account = Account(show_rate=file is not None or not sys.stdout.isatty())
    window = None if stepping is None else stepping.window
    write_all(entries(Work(predictor, top, threshold, folder), jobs, workers), sink, account, file, listed, window)
    if not (as_json or account.num_inputs == account.num_failed == 1):  # one failure has said all in its own line
        say(account.summary(predictor, workers, listed))
    if folder is not None and account.whole.count:
        say(f"drawn in {folder.path}")
    if account.num_failed:
        sys.exit(1)


def check_cluster(cluster: str | None, column: str | None, prints: bool, steps: bool) -> None:
    """UsageError for options that do not go together."""
    if cluster is None:
        raise UsageError(f"--column {column}: tables are read with --cluster only; give --cluster auto")
    if prints:
        raise UsageError(f"--cluster {cluster}: writes answers as jsonl or parquet only; leave out --save and --json")
    if steps:
        raise UsageError(f"--cluster {cluster}: answers images, no videos; leave out --every, --fps and --show")


def format_of(kind: str | None, as_json: bool, output: str | None) -> str:
    """The format that the options and the suffix of the output mean."""
    if as_json and (kind is not None or output is not None):
        raise UsageError("--json: prints to stdout, with errors apart; leave it out, and give --format json")
    if kind is None and output is not None:
        suffix = output[output.rfind(".") :].lower() if "." in output else ""
        kind = SUFFIXES.get(suffix)
        if kind is None:
            raise UsageError(f"--output {output}: no format has the suffix {suffix!r}; give --format, for example jsonl")
    if kind == "parquet" and output is None:
        raise UsageError("--format parquet: is no text to print; give --output too")
    return kind or "table"


def drawn_folder(save: str, inputs: Sequence[str], resume: bool) -> DrawnFolder:
    from ..predict.drawn import DrawnFolder

    return DrawnFolder(save, inputs, resume)


def steps(every: int | None, fps: float | None, show: bool) -> Stepping:
    from ..predict.clips import Stepping, check_steps

    check_steps(every or 1, fps)
    window = None
    if show:
        from ..video.window import Window

        window = Window("mobilenet predict")
    return Stepping(every or 1, fps, window)


def open_output(output: str, kind: str, resume: bool, options: Mapping[str, Setting]) -> Output:
    import os

    from ..predict.output import Output

    if os.path.isdir(output):
        raise UsageError(f"--output {output}: is a folder; give the name of a file, or --cluster")
    settings = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    if os.path.isfile(model := str(options["model"])):
        settings["--model"] = os.path.realpath(model)
    return Output(output, kind, resume, settings)


def printer(kind: str, as_json: bool, threshold: float) -> Sink:
    if kind == "table" and not as_json:
        return Table(threshold)
    from .formats import Array, Lines

    if as_json:
        return Array(2, with_errors=False)
    return Array(None, with_errors=True) if kind == "json" else Lines(kind)


def entries(work: Work, jobs: Iterator[Job], num_workers: int) -> Generator[Entry, None, None]:
    """The jobs' entries in order."""
    if num_workers == 1:
        yield from map(work, jobs)
        return
    from ..predict.ordered import Ordered

    yield from Ordered(work, jobs, num_workers)


def write_all(
    answers: Generator[Entry, None, None],
    sink: Sink,
    account: Account,
    file: Output | None,
    listed: Inputs,
    window: Window | None,
) -> None:
    """Writes every entry when it is there. However it ends, what is written is whole, and one line says how much that is."""
    closed = complete = False
    try:
        for entry in answers:
            sink.write(entry)
            account.add(entry)
            if window is not None:
                window.refresh()
                if not window.is_open:
                    break
        else:
            complete = True
    except BrokenPipeError:
        closed = True
        raise
    finally:
        answers.close()  # waits for the images at work
        listed.close()
        account.clear()
        if not closed:
            sink.close(complete)
            num_done = account.num_inputs if file is None else file.num_written  # a signal may come between the two
            if not complete and num_done:
                where = "" if file is None else f" and written to {file.path}; go on with --resume"
                say(f"stopped: {num_done:,} images are done{where}")
