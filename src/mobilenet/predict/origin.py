"""What a predictor becomes when it is pickled: where its model file is, rather than the weights in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from ..errors import UsageError, short_repr
from ..modelfile import ModelFile, ModelFileError
from ..tensorfile import mark_of
from ..zoo import published
from ..zoo.load import cached_file, is_file, is_on_hub, load_model

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    from ..runtimes.backends import Backend, MakeExecutor, Runtime
    from ..tasks.views import Views

    class Settings(TypedDict, total=False):
        backend: Backend | MakeExecutor
        views: Views
        threads: int | None
        memory_budget: int | None
        fast_decoding: bool
        device: str | None
        precision: str | None


P = TypeVar("P")
MAX_LOADED = 4
_loaded: dict[tuple[object, ...], object] = {}


class Loaded(NamedTuple):
    """How a predictor was loaded.

    Attributes:
        load_again: makes it in another process, from what `origin` returns.
        source: the name or the path that `load` was given; None for a whole model.
        state: of the file when it was read, or None.
        settings: the other arguments of `load`.
    """

    load_again: Callable[..., object]
    source: str | None
    state: os.stat_result | None
    settings: Settings

    def origin(self, model: ModelFile) -> tuple[str | ModelFile, str | None, Settings]:
        """(source, mark, settings) for `load_again`.

        The source is the absolute path of a model file that has not changed since it was read, or a model's name if its file is
        in the cache; then the mark says which content the other process must find there. Otherwise it is the model, and there
        is no mark.
        """
        if self.source is not None:
            path = file_of(self.source)
            if is_file(self.source) and is_same(self.state, path):
                return os.path.abspath(path), mark_of(path), self.settings
            if not is_file(self.source) and os.path.isfile(path):
                return self.source, mark_of(path), self.settings
        return model, None, self.settings


def file_of(source: str) -> str:
    """The path of a model file; of a known model's name or an address of the hub, its place in the cache."""
    if is_on_hub(source):
        from ..zoo.hub import hub_file

        return os.fspath(hub_file(source))
    return source if is_file(source) else cached_file(published.find(source))


def is_same(state: os.stat_result | None, path: str) -> bool:
    try:
        now = os.stat(path)
    except OSError:
        return False
    return state is not None and (state.st_ino, state.st_size, state.st_mtime_ns) == (now.st_ino, now.st_size, now.st_mtime_ns)


def picklable(runtime: Runtime) -> Runtime:
    """The same runtime. UsageError for the native engine, whose packed weights belong to one process."""
    if runtime.name == "native":
        raise UsageError("a Predictor around the native engine goes to no other process; make it with mobilenet.load")
    return runtime


def once_loaded(load: Callable[..., P], source: str | ModelFile, mark: str | None, settings: Settings) -> P:
    """A predictor of the file or the name that `origin_of` gave, or of a whole model.

    A pool unpickles the same predictor for each of its tasks, so the last ones of this process are kept; not those of whole
    models, which are large. Each caller gets a copy, which shares model and runtime.
    """
    if mark is None or isinstance(source, ModelFile):
        return load(source, **settings)
    check_mark(source, mark)
    key = (source, mark, *((name, repr(value) if name == "views" else value) for name, value in settings.items()))
    if key not in _loaded:
        if len(_loaded) >= MAX_LOADED:
            _loaded.clear()
        _loaded[key] = load(source, **settings)
    return copy(cast(P, _loaded[key]))


def check_mark(source: str, mark: str) -> None:
    """ModelFileError if the file of `source` is not the one with this mark; a model that is not in the cache is fetched."""
    path = file_of(source)
    if not os.path.isfile(path) and not is_file(source):
        load_model(source)
        path = file_of(source)
    if os.path.isfile(path) and mark_of(path) != mark:
        raise ModelFileError(
            f"{short_repr(path)}: is not the model file that the predictor was pickled with; load the model here, with "
            "mobilenet.load"
        )
