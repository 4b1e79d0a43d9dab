"""The driver: it plans, watches and counts; the machines of the cluster read, answer and write."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, cast

from ..errors import MobilenetError, UsageError, short_repr
from ..predict.adjust import Adjustments
from ..predict.held import Held
from ..predict.load import load
from ..predict.output import import_pyarrow
from ..predict.predictor import Predictor, check_settings
from ..predict.settings_file import Setting
from ..runtimes.backends import check_count
from ..tasks.results import shown
from ..tasks.views import ONE_VIEW
from ..values import Value, replace
from .folder import Folder, Kind
from .listing import Listing
from .parts import SIZE, key_of, missing, num_inputs, without
from .stores import Stores
from .worker import ClusterError, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

    Report = Callable[["Batch"], None]

KINDS: tuple[Kind, ...] = ("jsonl", "parquet")
NO_ADJUSTMENTS = Adjustments(None, None, None, False, None)
PATIENCE = 20.0
"""Seconds until a file that another machine has written must be seen: network file systems cache the lists of files."""


class Batch(Value):
    """What became of the inputs of `batch`.

    Attributes:
        output: the folder.
        num_answered: inputs that have predictions.
        num_failed: inputs that have an error.
        num_held: inputs that the output held already, failures included.
        num_parts: files that were written.
        seconds: from the first part asked for to the last one written.
    """

    output: str
    num_answered: int = 0
    num_failed: int = 0
    num_held: int = 0
    num_parts: int = 0
    seconds: float = 0.0


def batch(
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    model: str | Path | Predictor = "imagenet",
    *,
    cluster: str = "auto",
    format: Kind | None = None,
    resume: bool = False,
    workers: int | None = None,
    column: str | None = None,
    recursive: bool = True,
    top: int | None = None,
    threshold: float | None = None,
    part_size: int = SIZE,
    filesystem: FileSystem | None = None,
    report: Report | None = None,
) -> Batch:
    """Answers any number of images on a Ray cluster. Needs the extra ``[ray]``.

    The output is a folder of files, one for each part of the inputs, with the rows of ``mobilenet predict --format parquet`` or
    ``jsonl``. Every input is in it once, whichever process or machine dies: a file appears whole, under a name that stands for
    its inputs, and a part whose process died is done by another one. After the death of this process, the same call with
    `resume` does the parts that are missing. Memory does not grow with the number of inputs.

    Args:
        inputs: files, folders and patterns, which every machine sees at the same path; addresses of images and of
            object stores (``s3://bucket/photos``, also patterns); "@FILE" for a file of names; Parquet files (by the suffix;
            also folders and patterns) with a column of bytes or names; ``hf:NAME`` or a folder of Hugging Face's `datasets`.
        output: a folder that every machine sees, or an address of an object store.
        model: a name, a path, or a predictor; each process then uses as many threads as it does.
        cluster: "auto" for the cluster that this machine belongs to, or else the cores of this machine; or an address.
        format: "parquet" or "jsonl"; by default what the suffix of `output` says, else Parquet.
        resume: go on with an output that is there; inputs that it holds are skipped.
        workers: maximum number of processes; by default one for each core that the cluster has now.
        column: the column of a table that has the images or their names.
        recursive: whether a folder stands for the images below it too.
        top, threshold: which predictions are kept; by default 5 of a classifier, and those of a detector that score at least
            0.5.
        part_size: approximate number of inputs in a part.
        filesystem: of pyarrow or fsspec; then inputs and output are paths in it.
        report: is called after each part with the count so far.

    Raises:
        UsageError: a wrong argument; ray is not installed; there is no cluster at the address; with `resume`, another model or
            setting than that of the answers in the output.
        MobilenetError: the model cannot be loaded, a part cannot be written, or the machines do not share the folders.
    """
    check_settings(threshold, top)
    check_count("workers", workers, "leave it out for one on each core")
    check_count("part_size", part_size, "leave it out")
    import_ray()
    import_pyarrow()
    location, stores = os.fspath(output), Stores(filesystem)
    folder = Folder(location if stores.has(location) else os.path.abspath(location), kind_of(location, format), stores)
    names = tuple(os.fspath(item) for item in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs))
    listing = Listing(names, os.getcwd(), recursive, column, part_size, stores)
    predictor = model if isinstance(model, Predictor) else load(model, threads=1)
    top, threshold = shown(predictor.task, top, threshold)
    done = folder.prepare(resume)
    folder.keep_settings({**settings_of(predictor), "top": top, "threshold": threshold}, begins=not done)
    num_held, held = known(listing, folder, done)
    count = Batch(location, num_held=num_held)
    if next(missing(listing.parts(), done, held), None) is not None:  # wrong inputs are reported before Ray starts
        arguments = (predictor, top, threshold, folder, listing.base, stores)
        start = time.perf_counter()
        with connected(cluster):
            for row in summaries(listing, done, held, arguments, workers):
                check_seen(folder, str(row["key"]))
                count = plus(count, row, time.perf_counter() - start)
                if report is not None:
                    report(count)
    return count


def settings_of(predictor: Predictor) -> dict[str, Setting]:
    """What changes a predictor's answers. A model that is in no file has no mark, and is not compared."""
    settings: dict[str, Setting] = {"views": None if predictor.views == ONE_VIEW else repr(predictor.views)}
    settings["fast_decoding"] = predictor.fast_decoding
    if predictor._loaded is not None:
        source, mark, given = predictor._loaded.origin(predictor.model)
        settings["precision"] = given.get("precision")
        if isinstance(source, str) and mark is not None:
            settings["model"] = f"{os.path.basename(source)} ({mark[:8]})"
    return settings | (predictor._adjustments or NO_ADJUSTMENTS)._asdict()


def plus(count: Batch, row: dict[str, object], seconds: float) -> Batch:
    """The count after one more part."""
    num_answered, num_failed = cast("int", row["answered"]), cast("int", row["failed"])
    return replace(
        count,
        num_answered=count.num_answered + num_answered,
        num_failed=count.num_failed + num_failed,
        num_parts=count.num_parts + 1,
        seconds=seconds,
    )


def kind_of(output: str, given: str | None) -> Kind:
    """The format of the parts. Raises UsageError."""
    if given is None:
        return "jsonl" if output.rstrip("/").lower().endswith((".jsonl", ".ndjson")) else "parquet"
    for kind in KINDS:
        if kind == given:
            return kind
    raise UsageError(f"format {short_repr(given)}: the parts of a cluster's output are jsonl or parquet; choose one")


def known(listing: Listing, folder: Folder, done: set[str]) -> tuple[int, Held]:
    """How many inputs the output holds, and the names of those whose part is no longer listed, because inputs came or went.

    The names in other files are not read, so memory grows only with what has changed.
    """
    others = set(done)
    if done:
        others.difference_update(map(key_of, listing.parts()))
    held = folder.held(others)
    there = (part for part in listing.parts() if key_of(part) in done) if done else iter(())
    return len(held) + sum(num_inputs(without(part, held) if held else part) for part in there), held


def import_ray() -> None:
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise UsageError("a cluster needs Ray; pip install 'mobilenet[ray]' on every machine") from error


@contextmanager
def connected(cluster: str) -> Iterator[None]:
    """Ray: the one that runs already, or one that is started here and shut down at the end. Raises UsageError if there is
    no cluster at the address."""
    import ray

    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": logging.WARNING, "log_to_driver": False}
    try:
        ray.init(address=cluster, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if cluster != "auto":
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"--cluster {cluster}: no Ray answers there ({reason}); give its address, or auto") from error
        ray.init(address="local", include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def summaries(
    listing: Listing, done: set[str], held: Held, arguments: tuple[object, ...], workers: int | None
) -> Iterator[dict[str, object]]:
    """Runs what is missing: a row for each part that was written."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, read_datasource
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from .source import Parts

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = deepcopy(DataContext.get_current())
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # one part in each block: an actor gets a block, and a lost block is done again
    predictor = cast("Predictor", arguments[0])
    num_cores = predictor.runtime.threads or 1
    if workers is None:
        workers = max(int(ray.cluster_resources().get("CPU", 1)) // num_cores, 1)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    with DataContext.current(context):
        parts = read_datasource(
            Parts(listing, ray.put((done, held))),
            override_num_blocks=1,
            # Listed on the driver's machine: the list is lost only with the driver, and no core that runs the network is
            # needed.
            ray_remote_args={"num_cpus": 0, "scheduling_strategy": here},
        )
        written = parts.map(
            Worker,
            fn_constructor_args=arguments,
            compute=ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
            num_cpus=num_cores,
        )
        try:
            yield from written.iter_rows()
        except Exception as error:
            raise cause_of(error) from error


def cause_of(error: BaseException) -> BaseException:
    """The `MobilenetError` that Ray has wrapped, or the error itself."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, MobilenetError):
            return inner
        inner = getattr(inner, "cause", None) or inner.__cause__
    return error


def check_seen(folder: Folder, key: str) -> None:
    """ClusterError if this machine does not see a part that another one has written."""
    end = time.monotonic() + PATIENCE
    while not folder.has(key):
        if time.monotonic() > end:
            raise ClusterError(
                f"{folder.location}: a part was written, and this machine does not see it; give --output a folder that all "
                "machines share, or an object store"
            )
        time.sleep(0.2)
