"""From the inputs of the command line to entries: list, open, run, draw. Several threads may answer at once."""

from __future__ import annotations

import os
import time
from _thread import get_ident
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, overload

from ..errors import UsageError
from ..images.find import Lost, Search, is_video
from ..images.open import ImageError, open_image
from ..images.reduced import Reduced
from ..tasks.results import ByteRuntime, OutputError
from ..values import Value, replace

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from av import Packet
    from numpy.typing import NDArray
    from PIL import Image

    from ..images.preprocessing import Decoded
    from ..network.layers import Resolution
    from ..runtimes.backends import Runtime
    from ..tasks.results import Prediction, Result
    from ..tensors import Array, Floats, Plain
    from ..video.read import Frame
    from .clips import Clip, Stepping
    from .drawn import DrawnFolder
    from .held import Held
    from .predictor import Predictor

STDIN = "-"
MAX_NAME = 2**16
"""Bytes of a name in a list, with its line's end; paths have 4,096 at most, addresses some thousands."""


MAX_CLOSING_SECONDS = 20.0


class Job:
    """An input: its name, why it names no image (or None), and the name of its drawn copy (or None).

    Attributes:
        clip, frame, turn, sound: of a frame, the video that it belongs to, see `clips.Clip`.
    """

    __slots__ = ("clip", "copy", "error", "frame", "name", "sound", "turn")

    def __init__(self, name: str, error: ImageError | None, copy: str | None) -> None:
        self.name, self.error, self.copy = name, error, copy
        self.clip: Clip | None = None
        self.frame: Frame | None = None
        self.turn = 0
        self.sound: list[Packet] = []


class Entry(Value):
    """What a model says of one input, or why it says nothing.

    Attributes:
        input: its path or URL, or "-" for the image on stdin.
        task: of the model.
        predictions: none if there is an error, and perhaps none if there is none.
        mask: path of the mask's file, if one was written.
        error: why the input has no predictions, in one line; None if it has.
        network: seconds in the network.
        whole: seconds from opening the image to the answer, drawing included.
        frame, time: of a video, the number of the frame from 0, and its seconds from the beginning.
        backend: the name of the runtime.
    """

    input: str
    task: str
    predictions: Sequence[Prediction] = ()
    mask: str | None = None
    error: str | None = None
    network: float = 0.0
    whole: float = 0.0
    frame: int | None = None
    time: float | None = None
    backend: str = ""

    def to_json(self) -> dict[str, object]:
        """An entry of ``mobilenet predict --json``; of a failure ``{"input", "task", "error"}``."""
        entry: dict[str, object] = {"input": self.input}
        if self.frame is not None:
            entry |= {"frame": self.frame, "time": self.time}
        entry["task"] = self.task
        if self.error is not None:
            return {**entry, "error": self.error}
        entry["predictions"] = [prediction.to_dict() for prediction in self.predictions]
        if self.mask is not None:
            entry["mask"] = self.mask
        return {**entry, "backend": self.backend}


class Inputs:
    """The jobs that the arguments stand for, one by one.

    Args:
        arguments: files, folders, patterns, addresses, "-" for an image on stdin, and "@FILE" for a file of names.
        files_from: one more file of names, or "-" for names on stdin.
        recursive: whether folders stand for the images below them too.
        folder: of drawn copies; what is in it is no input.
        held: inputs that are passed over, because the output has them.
        stepping: which frames of videos are taken.

    Attributes:
        search: says what was skipped.
        num_held: how many inputs were passed over.
        num_dropped: how many frames of cameras and streams came while another was at work.

    Raises:
        UsageError: a file of names cannot be opened, or two inputs read stdin.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        files_from: str | None,
        recursive: bool,
        folder: DrawnFolder | None = None,
        held: Held | None = None,
        stepping: Stepping | None = None,
    ) -> None:
        lists = [] if files_from is None else [files_from]
        self.items = list[str]()
        for argument in arguments:
            if argument.startswith("@") and not os.path.exists(argument):
                lists.append(argument[1:])
            else:
                self.items.append(argument)
        if self.items.count(STDIN) + lists.count(STDIN) > 1:
            raise UsageError("stdin can be read only once; give one of the inputs as a file")
        self.waits_for_stdin = STDIN in lists
        self.lists = [open_list(name) for name in lists]
        self.folder, self.held, self.num_held, self.num_dropped = folder, held, 0, 0
        self.stepping = stepping
        self.listed: Generator[Job, None, None] | None = None
        self.clips: list[Clip] = []  # that are being answered
        self.search = Search(recursive, (lambda name: False) if folder is None else folder.is_own, videos=True)

    def jobs(self) -> Iterator[Job]:
        self.listed = self._jobs()
        return self.listed

    def _jobs(self) -> Generator[Job, None, None]:
        names = chain.from_iterable(map(names_in, self.lists)) if self.lists else ()
        for found in self.search.found(self.items, names):
            name, error = (found.name, found.error) if isinstance(found, Lost) else (found, None)
            if self.held is not None and name in self.held:
                self.num_held += 1
            elif error is None and is_video(name):
                yield from self.frames_of(name)
            else:
                yield Job(name, error, None if self.folder is None or error is not None else self.folder.claim(name))

    def frames_of(self, name: str) -> Iterator[Job]:
        """The frames of a video as jobs. If it cannot be opened or read to its end, the last job says why."""
        from .clips import Clip, Stepping, target_name

        copy = None if self.folder is None else self.folder.claim(target_name(name))
        clip = None
        try:
            target = None if self.folder is None or copy is None else os.path.join(self.folder.path, copy)
            after = -1 if self.held is None else self.held.last_frame(name)
            clip = Clip(name, self.stepping or Stepping(), target, after)
            self.clips = [*(each for each in self.clips if each.is_open), clip]
            with closing(clip.frames()) as frames:
                for frame, turn, sound in frames:
                    job = Job(name, None, None)
                    job.clip, job.frame, job.turn, job.sound = clip, frame, turn, sound
                    yield job
        except ImageError as error:
            yield Job(name, error, None)
        finally:
            if clip is not None:  # its name stays claimed: the file comes with the first frame that is done
                self.num_dropped += clip.video.num_dropped
            elif self.folder is not None and copy is not None:
                self.folder.release(copy)

    def close(self) -> None:
        """Ends the videos that are being answered, so that what is written of them can be played. A thread that waits
        for a camera's next frame is told to stop."""
        end = time.monotonic() + MAX_CLOSING_SECONDS
        while self.listed is not None and time.monotonic() < end:
            try:
                self.listed.close()
                break
            except ValueError:  # a thread is taking the next job
                for clip in self.clips:
                    clip.reading.stopped = True
                time.sleep(0.01)
        for clip in self.clips:
            if clip.is_open:
                clip.finish()


def open_list(name: str) -> IO[bytes]:
    try:
        return open(0, "rb", closefd=False) if name == STDIN else open(name, "rb")
    except OSError as error:
        raise UsageError(f"@{name}: the list cannot be read ({error.strerror}); check its path") from error


def names_in(file: IO[bytes]) -> Iterator[str]:
    """One name on each line; empty lines are skipped. Raises UsageError for a line that is too long for a name."""
    with file:
        while line := file.readline(MAX_NAME):
            if len(line) == MAX_NAME:
                raise UsageError(f"a line of the list of names is over {MAX_NAME - 1} bytes; give one name on each line")
            if name := line.rstrip(b"\r\n"):
                yield os.fsdecode(name)


def ahead(jobs: Iterator[Job], number: int) -> tuple[int, Iterator[Job]]:
    """The number of jobs, counted up to `number`, and an iterator over all of them."""
    first = list(islice(jobs, number))
    return len(first), chain(first, jobs)


class Timed:
    """A runtime that adds up the seconds of each thread in it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.seconds = runtime, dict[int, float]()
        self.name, self.precision, self.threads = runtime.name, runtime.precision, runtime.threads

    @overload
    def __call__(self, images: Array) -> Mapping[str, Array]: ...
    @overload
    def __call__(self, images: Plain) -> Mapping[str, Plain]: ...
    def __call__(self, images: Plain) -> Mapping[str, Plain]:
        start = time.perf_counter()
        outputs = self.runtime(images)
        self.seconds[get_ident()] = self.spent() + time.perf_counter() - start
        return outputs

    def scaling(self, output: str) -> tuple[float, int] | None:
        return self.runtime.scaling(output) if isinstance(self.runtime, ByteRuntime) else None

    def in_bytes(self, images: Floats) -> Mapping[str, NDArray[np.uint8]]:
        assert isinstance(self.runtime, ByteRuntime)
        start = time.perf_counter()
        outputs = self.runtime.in_bytes(images)
        self.seconds[get_ident()] = self.spent() + time.perf_counter() - start
        return outputs

    def spent(self) -> float:
        """Seconds that the calling thread has spent in the network."""
        return self.seconds.get(get_ident(), 0.0)

    def planned_bytes(self, resolution: Resolution) -> int:
        return self.runtime.planned_bytes(resolution)


class Work:
    """Answers jobs. An image that cannot be opened, answered or drawn is an entry with an error; any other exception is raised.

    Args:
        top, threshold: of the predictions that are kept, see `Predictor.predict`.
        folder: where drawn copies go, if any.
    """

    def __init__(self, predictor: Predictor, top: int | None, threshold: float, folder: DrawnFolder | None) -> None:
        self.predictor, self.top, self.threshold, self.folder = predictor, top, threshold, folder
        self.task = predictor.task
        self.runtime = predictor.runtime = Timed(predictor.runtime)

    def __call__(self, job: Job) -> Entry:
        if job.clip is None or job.frame is None:
            return self.answer(job)[0]
        drawn: Image.Image | None = None
        try:
            entry, drawn = self.answer(job)
        finally:
            error = job.clip.hand_over(job.turn, drawn or job.frame.image, job.frame.pts, job.sound)
        return entry if error is None else replace(entry, error=str(error))

    def answer(self, job: Job) -> tuple[Entry, Image.Image | None]:
        """The entry of a job; of a frame also what it looks like in the annotated video."""
        number, at, drawn = None, None, None
        if job.frame is not None:
            drawn, number, at = job.frame.image, job.frame.number, round(job.frame.time, 6)
        start, before = time.perf_counter(), self.runtime.spent()
        try:
            if job.error is not None:
                raise job.error
            image = drawn or self.open(job)
            result = self.predictor.predict(image, threshold=self.threshold, top=self.top)
            predictions, mask = result.top(self.top, self.threshold), None
            if drawn is not None and job.clip is not None and job.clip.is_drawn:
                drawn = draw_on(drawn, result, predictions)
            elif self.folder is not None and job.copy is not None:
                whole = open_image(job.name) if isinstance(image, Reduced) else image
                mask = self.folder.write(job.copy, whole, result, predictions)
        except ImageError as error:
            return Entry(job.name, self.task, error=str(error), frame=number, time=at), drawn
        except OutputError as error:
            return Entry(job.name, self.task, error=str(OutputError(error.name, job.name)), frame=number, time=at), drawn
        finally:
            if self.folder is not None and job.copy is not None:
                self.folder.release(job.copy)
        now = time.perf_counter()
        seconds = self.runtime.spent() - before, now - start
        return Entry(job.name, self.task, predictions, mask, None, *seconds, number, at, self.runtime.name), drawn

    def open(self, job: Job) -> Decoded:
        """A job's image. Raises ImageError."""
        return opened(job.name, self.predictor)


def draw_on(image: Image.Image, result: Result, predictions: Sequence[Prediction]) -> Image.Image:
    from ..drawing.draw import draw

    return draw(image, result, predictions)


def opened(name: str, predictor: Predictor) -> Decoded:
    """The image of a file, of an address, or on stdin, as the predictor opens it. Raises ImageError."""
    if name == STDIN:
        from ..images.sources import from_bytes
        from ..limits import limits

        with open(0, "rb", closefd=False) as file:
            return from_bytes(file.read(limits().max_image_bytes + 1), STDIN, None, predictor.needed).image
    if "://" in name:
        from ..images.sources import open_source

        return open_source(name, predictor.needed).image
    return predictor.open(name)
