"""What each process of the cluster does: it holds a predictor, answers a part, and writes the part's file."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import MobilenetError
from ..images.address import download
from ..images.open import ImageError
from ..images.sources import from_bytes
from ..limits import limits
from ..predict.work import Job, Work
from .listing import working_in
from .parts import Named, Part
from .stores import WEB, Stores
from .tables import cells

if TYPE_CHECKING:
    from ..images.preprocessing import Decoded
    from ..predict.predictor import Predictor
    from .folder import Folder

READERS = 8
"""Threads that wait for object stores while a core computes."""
AHEAD = 12
"""Images of object stores that are read ahead of their use."""


class ClusterError(MobilenetError):
    """The machines of a cluster do not see the same files."""


class Content(Job):
    """An input whose file is in memory, or at another place than its name says."""

    __slots__ = ("content", "place")

    def __init__(self, name: str, error: ImageError | None, content: bytes | None, place: str | None) -> None:
        super().__init__(name, error, None)
        self.content, self.place = content, place


class ClusterWork(Work):
    """Answers jobs whose bytes may have been read already."""

    def open(self, job: Job) -> Decoded:
        if not isinstance(job, Content) or job.content is None:
            return super().open(job)
        if job.name.lower().startswith(WEB):
            return from_bytes(job.content, job.name, None, None).image  # as `predict` does
        return self.predictor.open_bytes(job.content, job.name)


class Worker:
    """An actor of Ray Data's pool.

    Args:
        predictor: crosses to the process as the name or path of its model.
        base: the folder that relative names start from.
    """

    def __init__(
        self, predictor: Predictor, top: int | None, threshold: float, folder: Folder, base: str, stores: Stores
    ) -> None:
        self.work = ClusterWork(predictor, top, threshold, None)
        self.folder, self.base, self.stores = folder, base, stores
        self.readers = ThreadPoolExecutor(READERS, "mobilenet-read")

    def __call__(self, row: Mapping[str, object]) -> dict[str, object]:
        """Answers the part of a row. Raises MobilenetError, which ends the run, if the part cannot be read or written here."""
        key, content = row["key"], row["part"]
        assert isinstance(key, str)
        assert isinstance(content, bytes)
        with working_in(self.base):
            part: Part = pickle.loads(content)
            if isinstance(part, Named) and part.found:
                check_folders(part)
            entries = map(self.work, self.ahead(jobs(part, self.stores)))
            num_answered, num_failed = self.folder.write(key, entries)
        return {"key": key, "answered": num_answered, "failed": num_failed}

    def ahead(self, jobs: Iterator[Job]) -> Iterator[Job]:
        """The jobs in order. Images in object stores are read in threads."""
        waiting: deque[Job | Future[Job]] = deque()
        for job in jobs:
            place = job.place if isinstance(job, Content) and job.place is not None else job.name
            read_already = job.error is not None or (isinstance(job, Content) and job.content is not None)
            near = not isinstance(job, Content) and not place.lower().startswith(WEB) and not self.stores.has(place)
            waiting.append(job if read_already or near else self.readers.submit(self.read, job, place))
            if len(waiting) > AHEAD:
                yield arrived(waiting.popleft())
        yield from map(arrived, waiting)

    def read(self, job: Job, place: str) -> Job:
        try:
            if place.lower().startswith(WEB):
                content = download(place)
            elif self.stores.has(place):
                content = self.stores.read(place)
            else:
                with open(place, "rb") as file:
                    content = file.read(limits().max_image_bytes + 1)
        except ImageError as error:
            return Job(job.name, error, None)
        except OSError as error:
            return Job(job.name, ImageError(f"{place!r}: cannot be read ({error.strerror}); check it"), None)
        return Content(job.name, None, content, place)


def arrived(job: Job | Future[Job]) -> Job:
    return job if isinstance(job, Job) else job.result()


def jobs(part: Part, stores: Stores) -> Iterator[Job]:
    if isinstance(part, Named):
        errors = dict(part.errors)
        for name in part.names:
            yield Job(name, ImageError(errors[name]) if name in errors else None, None)
    else:
        for name, content, place, error in cells(part, stores):
            yield Content(name, error, content, place)


def check_folders(part: Named) -> None:
    """ClusterError if this machine does not have the folders in which the listing found images."""
    errors = {name for name, _ in part.errors}
    for folder in {os.path.dirname(name) for name in part.names if name not in errors and "://" not in name}:
        if not os.path.isdir(folder or "."):
            raise ClusterError(
                f"{folder!r}: is not there on the machine {os.uname().nodename}; give a folder that all machines share, at the "
                "same path, or an object store"
            )
