"""The models of a server by name: loaded, looked at for changes, replaced while others are answered."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from PIL import Image

from ..errors import MobilenetError, UsageError, short_repr, unknown_name
from ..predict.predictor import Predictor
from ..predict.work import Timed
from ..runtimes.backends import choose
from ..tasks.results import MIN_SHOWN
from ..values import Value
from ..zoo.load import is_file, load_model
from .settings import RequestError

if TYPE_CHECKING:
    from ..network.layers import Resolution
    from ..runtimes.backends import Backend

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Stamp = tuple[int, int, int]
"""Of a file: its inode, size and time of change in nanoseconds."""


class Loader(Value):
    """How every model of a server is run. See `runtimes.backends.choose` for the settings.

    Attributes:
        num_callers: worker threads.
    """

    backend: str = "native"
    threads: int | None = 1
    num_callers: int = 1
    device: str | None = None
    precision: str | None = None
    fast_decoding: bool = True

    def load(self, source: str, report: Callable[[str], None]) -> Predictor:
        """The predictor, which has answered once, so that its plan is made. Raises MobilenetError."""
        model = load_model(source, report)
        runtime = choose(
            model,
            cast("Backend", self.backend),
            self.threads,
            device=self.device,
            num_callers=self.num_callers,
            precision=self.precision,
        )
        predictor = Predictor(model, Timed(runtime), fast_decoding=self.fast_decoding)
        height, width = model.preprocessing.size
        predictor.predict(Image.new("RGB", (width, height), "gray"))
        return predictor


class Served:
    """One model that is served. A reload makes another of the same name; requests keep the one that they began with.

    Attributes:
        name: in addresses. source: what the command was given.
        stamp: of the model file when it was loaded; None for a model by name.
    """

    def __init__(self, name: str, source: str, stamp: Stamp | None, predictor: Predictor) -> None:
        self.name, self.source, self.stamp, self.predictor = name, source, stamp, predictor
        self.runtime = cast(Timed, predictor.runtime)
        self.loaded_at = time.time()

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.predictor.model.preprocessing.size

    def description(self) -> dict[str, object]:
        """As an entry of ``GET /v1/models``."""
        predictor, network = self.predictor, self.predictor.model.network
        height, width = resolution = self.resolution
        return {
            "name": self.name,
            "task": predictor.task,
            "architecture": network.architecture,
            "resolution": [height, width],
            "labels": list(predictor.labels),
            "background": predictor.model.background if predictor.task == "segmentation" else None,
            "threshold": MIN_SHOWN[predictor.task],
            "backend": self.runtime.name,
            "precision": self.runtime.precision,
            "threads": self.runtime.threads,
            "activation_bytes": self.planned_bytes(resolution),
            "weights_bytes": sum(tensor.nbytes for tensor in predictor.model.tensors.values()),
            "license": license_of(predictor.model.provenance),
        }

    def planned_bytes(self, resolution: Resolution) -> int:
        return self.runtime.planned_bytes(resolution)


def license_of(provenance: Mapping[str, object]) -> str | None:
    value = provenance.get("licence")
    return value if isinstance(value, str) else None


class Models(Mapping[str, Served]):
    """The models that are served, in the order of the command line.

    Args:
        sources: name or file by name, as `named_sources` makes them.
        report: gets one line for whatever an operator wants to know.
        may_miss: whether a model that cannot be had is reported and left out.

    Raises:
        MobilenetError: a model cannot be loaded.
    """

    def __init__(
        self, sources: Mapping[str, str], loader: Loader, report: Callable[[str], None], may_miss: bool = False
    ) -> None:
        self.loader, self.report = loader, report
        self.served, self.refused = dict[str, Served](), dict[str, Stamp | None]()
        for name, source in sources.items():
            try:
                self.served[name] = self.load(name, source)
            except MobilenetError as error:
                if not may_miss or isinstance(error, UsageError):
                    raise
                report(f"{name}: left out ({error})")

    def __getitem__(self, name: str) -> Served:
        return self.served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.served)

    def __len__(self) -> int:
        return len(self.served)

    def find(self, name: str) -> Served:
        """Raises RequestError 404 if no model has this name."""
        if name not in self.served:
            raise RequestError(404, unknown_name("model", name, self.served))
        return self.served[name]

    def load(self, name: str, source: str) -> Served:
        stamp = stamp_of(source)
        return Served(name, source, stamp, self.loader.load(source, self.report))

    def changed(self) -> list[tuple[str, Stamp]]:
        """The names whose file is another one than was loaded, and has not been refused already; with the file's stamp."""
        found = []
        for name, served in self.served.items():
            stamp = stamp_of(served.source)
            if stamp is not None and stamp not in (served.stamp, self.refused.get(name)):
                found.append((name, stamp))
        return found

    def reload(self, name: str) -> bool:
        """Loads a model again, and replaces the old one when the new one has answered. Whether that worked: a file that is
        damaged or missing changes nothing, and is reported."""
        old = self.served[name]
        stamp = stamp_of(old.source)
        try:
            new = self.load(name, old.source)
        except (MobilenetError, OSError, MemoryError) as error:
            self.refused[name] = stamp
            self.report(f"{name}: not loaded again ({error}); the model of before goes on")
            return False
        self.refused.pop(name, None)
        self.served = {**self.served, name: new}
        self.report(f"{name}: loaded again from {old.source}")
        return True


def stamp_of(source: str) -> Stamp | None:
    """The state of a model file; None for a model's name, and for a file that is not there."""
    if not is_file(source):
        return None
    try:
        state = os.stat(source)
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def named_sources(arguments: Sequence[str]) -> dict[str, str]:
    """Sources by name: ``NAME=SOURCE`` says both, a model's name is its own, and a file is called as it is without its suffix.

    Raises:
        UsageError: a name that cannot stand in an address, or two models of one name.
    """
    sources = dict[str, str]()
    for argument in arguments:
        name, equals, source = argument.partition("=")
        if not equals or os.path.exists(argument):
            source = argument
            last = os.path.splitext(os.path.basename(source))[0] if is_file(source) else source.rpartition("/")[2]
            name = last.partition("@")[0]
        if not NAME.fullmatch(name):
            raise UsageError(f"model name {short_repr(name)}: must be letters, digits, '.', '_' or '-'; give NAME={source}")
        if name in sources:
            raise UsageError(f"two models are called {name!r}; give one of them another name: NAME={source}")
        sources[name] = source
    return sources
