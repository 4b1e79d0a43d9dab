"""What a predictor becomes when it is pickled: where its model file is, rather than the weights in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, short_repr
from ..modelfile import ModelFile, ModelFileError
from ..tensorfile import mark_of
from ..zoo import published
from ..zoo.load import cached_file, is_file, load_model

if TYPE_CHECKING:
    from ..engine.backends import Runtime


def origin_of(model: ModelFile, source: str | None, state: os.stat_result | None, *settings: Any) -> tuple[Any, ...]:
    """(source, mark, *settings) for `predictor.load_again`.

    The source is the absolute path of a model file that has not changed since it was read, or a model's name if its file is in
    the cache; then the mark says which content the other process must find there. Otherwise it is the model, and there is no
    mark.
    """
    if source is not None:
        path = file_of(source)
        if is_file(source) and is_same(state, path):
            return os.path.abspath(path), mark_of(path), *settings
        if not is_file(source) and os.path.isfile(path):
            return source, mark_of(path), *settings
    return model, None, *settings


def file_of(source: str) -> str:
    """The path of a model file; of a known model's name, its place in the cache."""
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
