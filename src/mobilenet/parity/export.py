"""A model -> another format's file, which is proved by its own runtime before it gets its name."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError, unknown_name
from ..exports.bounds import Bound, bound, half_weights
from ..exports.exporter import Content, Exporter, PlainFile
from ..exports.formats import PRECISIONS, Format, Precision, exporter, format_of
from ..files import Staged, remove_leftovers
from ..modelfile import ModelFile
from ..runtimes.backends import choose
from ..values import replace
from ..zoo.load import load_model
from .compare import Comparison, compared
from .gate import ParityError, check_plain, check_whole
from .looks import Look, Looks, looks_at, prepared
from .sides import ModelSide, WholeSide, bytes_of, file_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    Watch = Callable[[Looks], Iterable[Look]]


@dataclass(frozen=True)
class Export:
    """A file that was written, and its proof.

    Attributes:
        path: of the file or folder; `script` of the check that comes beside it, if it could not be run here.
        comparison: the engine and the file on the same images; None if it was not run.
        unverified: why it was not run, or None.
        bound: what it kept.
        seconds: that writing took.
    """

    path: Path
    format: str
    precision: Precision
    whole: bool
    bytes: int
    seconds: float
    bound: Bound
    comparison: Comparison | None
    unverified: str | None = None
    script: Path | None = None

    def to_json(self) -> dict[str, object]:
        """The contract of `mobilenet export --json`."""
        return {
            "path": str(self.path),
            "format": self.format,
            "precision": self.precision,
            "whole": self.whole,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "verified": self.comparison is not None,
            "unverified": self.unverified,
            "script": None if self.script is None else str(self.script),
            "bound": self.bound.to_json(),
            "comparison": None if self.comparison is None else self.comparison.to_json(),
        }


def export(
    source: str | os.PathLike[str] | ModelFile,
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    precision: str | None = None,
    whole: bool = False,
    page: bool = False,
    in_place: bool = False,
    data: str | os.PathLike[str] | None = None,
    watch: Watch = lambda looks: looks,
) -> Export:
    """Writes a model in another format, if the file's own runtime gives the engine's outputs.

    The file is written beside its place, run on images, and gets its name only then. The same arguments give the same bytes.

    Args:
        source: a model's name or file, or its content.
        to: a format, see `mobilenet export --help`.
        out: the file, or the folder of a format of several files; what stands there is replaced. By default the model's name
            with the format's ending, in the working folder, where nothing may stand.
        precision: "fp32", "fp16" (weights and activations in half the bytes) or "int8" (for a quantized model); by default
            "int8" for a quantized model, else "fp32".
        whole: preprocessing and decoding inside: an image in, labels, boxes or a mask out.
        page: a page that shows the model at work beside it; for the browser only.
        in_place: for ``c``: integer weights are packed in the file and used where they lie, in a board's flash memory.
        data: images to prove it on, with labels or without; by default parts of the photos that mobilenet brings.
        watch: may wrap the images, to show progress.

    Raises:
        UsageError: no such format, or one without this precision, or a package for it is missing; or `out` is no place for it.
        ExportError: the format cannot hold the network.
        ParityError: the file's runtime gives other outputs; nothing is written.
    """
    kind = format_of(to)
    model = source if isinstance(source, ModelFile) else load_model(os.fspath(source))
    chosen = precision_for(kind, model, precision)
    if whole and not kind.whole:
        raise UsageError(f"whole: {kind.title} holds the network alone here; leave it out, or choose another format")
    if page and not kind.page:
        raise UsageError(f"page: {kind.title} has none; leave it out, or choose the format web")
    if in_place and not (kind.in_place and chosen == "int8"):
        raise UsageError(
            "in place: only integer weights of --to c are used where they lie; leave it out, or quantize the model"
        )
    content = Content(model if chosen == "int8" else model.dequantized(), chosen, whole, page, in_place)
    path = place(kind, out, "model" if isinstance(source, ModelFile) else os.fspath(source), content)
    writer, looks = exporter(kind), looks_at(data, model)
    remove_leftovers(path.parent, path.name)
    with Staged(path) as staged:
        written, before = Path(staged.place), time.perf_counter()
        writer.write(content, written)
        seconds, size = time.perf_counter() - before, file_bytes(written)
        reason = unverifiable(kind)
        limit = bound(kind, content.network, chosen, half_noise(model, looks) if chosen == "fp16" else 0.0)
        comparison = None if reason else proved(writer, kind, content, written, limit, looks, watch, path)
        staged.publish()
    script = None if reason is None else checks(writer, content, path, looks, limit)
    return Export(path, kind.name, chosen, whole, size, seconds, limit, comparison, reason, script)


def proved(
    writer: Exporter, kind: Format, content: Content, written: Path, limit: Bound, looks: Looks, watch: Watch, path: Path
) -> Comparison:
    """The comparison of the engine with the file.

    The network of a whole file is proved alone first, in a file of its own; then the whole file must give the answers of that.

    Raises:
        ParityError: outputs are past the bound, or answers are others.
    """
    model, size = content.model, file_bytes(written)
    opened = writer.open(written, model)
    engine = ModelSide("engine", model, choose(model, threads=1), bytes_of(model))
    title = f"{kind.name} {content.precision}, {opened.name}"
    if isinstance(opened, PlainFile):
        if content.whole:
            raise ParityError(f"{path}: not written: it takes no image")
        comparison = compared(engine, ModelSide(title, model, opened, size), looks, watch)
        check_plain(comparison, limit, path)
        return comparison
    alone = written.with_name(f"alone{kind.suffix}")
    writer.write(replace(content, whole=False), alone)
    network = writer.open(alone, model)
    if not isinstance(network, PlainFile):
        raise ParityError(f"{path}: not written: its network alone takes an image")
    plain = ModelSide(title, model, network, file_bytes(alone))
    network_alone = compared(engine, plain, looks, watch)
    check_plain(network_alone, limit, path)
    whole = WholeSide(f"{title}, whole", model, opened, size, engine.predictor)
    shown = looks
    if opened.prepared is not None:  # the file takes images of one size, so what brings them to it is no part of the proof
        still = replace(model, preprocessing=opened.prepared.as_it_is)
        plain, shown = ModelSide(title, still, network, file_bytes(alone)), prepared(looks, opened.prepared)
    check_whole(compared(plain, whole, shown, watch), network_alone, limit, path)
    (shutil.rmtree if kind.parts else os.unlink)(alone)
    return dataclasses.replace(compared(engine, whole, looks, watch), outputs=network_alone.outputs)


def half_noise(model: ModelFile, looks: Looks) -> float:
    """What `bound` needs for fp16."""
    model = model.dequantized()
    tensors = half_weights(model.network, model.tensors)
    exact, rounded = (ModelSide("", each, choose(each, threads=1), 0) for each in (model, replace(model, tensors=tensors)))
    noisiest = compared(exact, rounded, looks).noisiest
    return 0.0 if noisiest is None else noisiest.noise_ratio


def precision_for(kind: Format, model: ModelFile, precision: str | None) -> Precision:
    """What the file is written in. Raises UsageError for a precision that the format or the model does not have."""
    from ..network.grid import GridQuantization

    integers = isinstance(model.quantization, GridQuantization) or (kind.published_integers and model.quantization is not None)
    chosen = next((each for each in PRECISIONS if each == precision), None)
    if precision is None:
        return "int8" if integers and "int8" in kind.precisions else "fp32"
    if chosen is None:
        raise UsageError(unknown_name("precision", precision, PRECISIONS))
    if chosen not in kind.precisions:
        raise UsageError(f"precision {chosen}: {kind.title} has {' and '.join(kind.precisions)} here; choose one of them")
    if chosen == "int8" and model.quantization is None:
        raise UsageError("precision int8: this model has floats; quantize it first (mobilenet quantize), or leave it out")
    if chosen == "int8" and not integers:
        raise UsageError(
            f"precision int8: TensorFlow's integer models go to {kind.title} in fp32 or fp16 alone; choose one of them"
        )
    return chosen


def place(kind: Format, out: str | os.PathLike[str] | None, name: str, content: Content) -> Path:
    """Where the file goes. Raises UsageError if something else stands there, or the name has another ending."""
    if out is None:
        words = [Path(name).name.removesuffix(".safetensors")]
        words += [content.precision] * (content.precision == "fp16") + ["whole"] * content.whole
        path = Path("-".join(words) + kind.suffix)
        if path.exists():
            raise UsageError(f"{path}: stands here already; say --out {path} to replace it, or give another name")
        return path
    path = Path(out)
    if not path.name.endswith(kind.suffix):
        raise UsageError(f"out {path}: {'a folder' if kind.parts else 'a file'} of {kind.title} ends in {kind.suffix}")
    if path.is_dir() != bool(kind.parts) and path.exists():
        raise UsageError(f"out {path}: {'is a folder' if path.is_dir() else 'is a file'}; give another name")
    if kind.parts and path.is_dir() and (others := sorted({each.name for each in path.iterdir()} - set(kind.parts))):
        raise UsageError(f"out {path}: holds {others[0]}, which is no part of {kind.title}; give another name")
    return path


def unverifiable(kind: Format) -> str | None:
    """Why a format's files cannot be run here, or None."""
    if kind.systems and sys.platform not in kind.systems:
        return f"{kind.title}'s runtime exists on {' and '.join(kind.systems)}, this is {sys.platform}"
    if lacking := kind.missing(kind.runtime):
        return f"{' and '.join(lacking)} not installed; pip install 'mobilenet[{kind.extra}]'"
    if absent := [program for program in kind.programs if shutil.which(program) is None]:
        return f"{' and '.join(absent)} not installed; install it and export again"
    return None


def checks(writer: Exporter, content: Content, path: Path, looks: Sequence[Look], limit: Bound) -> Path | None:
    """Writes the check that is to be run elsewhere; None if the format has none, or if the file hides the network's outputs."""
    if not writer.script or content.whole:
        return None
    from .script import write_script

    script = path.with_name(f"{path.name.partition('.')[0]}-check.py")
    write_script(script, path, writer.script, content.model, looks, limit)
    return script
