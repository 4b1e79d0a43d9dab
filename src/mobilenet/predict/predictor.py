"""A loaded model, which is called with images and gives results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

from ..errors import UsageError, short_repr
from ..images.find import is_video
from ..images.open import ImageError
from ..images.reduced import decode_reduced, open_reduced
from ..modelfile import ModelFile, ModelFileError
from ..runtimes.backends import as_runtime, check_count
from ..tasks.classification import ClassificationDecoder
from ..tasks.results import Decoder, OutputError, check_finite
from ..tasks.views import ONE_VIEW, Views, as_views, scaled
from ..values import replace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import TypeVar as TypeVarWithDefault

    from ..errors import MobilenetError
    from ..images.preprocessing import Decoded
    from ..images.sources import Source
    from ..network.layers import Task
    from ..runtimes.backends import Executor, Runtime
    from ..tasks.classification import Classification
    from ..tasks.detection import DetectionDecoder
    from ..tasks.results import Result
    from ..tasks.segmentation import Segmentation
    from ..video.read import Video
    from .adjust import Adjustments
    from .embedding import Embedder
    from .info import Info
    from .origin import Loaded

    Report = Callable[[MobilenetError], None]
    R_co = TypeVarWithDefault("R_co", bound=Result, covariant=True, default=Result)
else:
    R_co = TypeVar("R_co", covariant=True)


class Predictor(Generic[R_co]):
    """A loaded model. ``predict("cat.jpg")`` opens an image, prepares it, runs the network and returns the result.

    It may be called from several threads at once. It can be pickled and copied: another process gets the path of the model file
    or the name of the model, and the settings; it gets the weights only if they are not in a file.

    Attributes:
        model: the content of the model file.
        labels: names of the classes, as in results: `coco` has 80. `label_ids` are ImageNet's or COCO's own ids, if known.
        runtime: what runs the network (see `runtimes.backends.Runtime`).
        views: scales and mirror images whose answers are averaged; also as a text such as "1,2,flip".
        fast_decoding: whether a JPEG whose sides are at least twice what the network needs is decoded at a half, a quarter or
            an eighth of its size: several times faster, a little less exact. Boxes and masks are in the image's own pixels.

    Args:
        executor: a runtime, or any function of a (N, 3, H, W) float32 array that returns each output by name.

    A type checker knows a predictor by its results: ``Predictor[Detections]``. ``Predictor`` alone returns any of them.

    Raises:
        ModelFileError: the model has no classes to predict.
    """

    decode: Decoder[Result]
    _detect: DetectionDecoder | None = None
    _average: Callable[[Runtime, Decoded, Views], Classification | Segmentation] | None = None
    _embedder: Embedder | None = None
    _loaded: Loaded | None = None
    _base: Predictor[R_co] | None = None  # of which `adjusted` made this one
    _adjustments: Adjustments | None = None

    def __init__(
        self: Predictor[Result], model: ModelFile, executor: Executor, views: Views | str = ONE_VIEW, fast_decoding: bool = True
    ) -> None:
        task, views = model.network.task, as_views(views)
        if not model.labels:
            raise ModelFileError(f"{model.network.architecture} without a classifier cannot name images; it can be trained")
        self.model, self.runtime, self.views = model, as_runtime(model.network, executor), views
        self.fast_decoding = fast_decoding
        self.needed = scaled(model.preprocessing, max(views.scales)).needed if fast_decoding else None
        self.labels, self.label_ids, self._in_use = model.labels, model.label_ids, None
        self.decode = classify = ClassificationDecoder(model.labels)
        if task == "classification" and views != ONE_VIEW:
            self._average = partial(classify.average, preprocessing=model.preprocessing)
        elif task == "detection":
            from ..tasks.detection import DetectionDecoder
            from ..tasks.labels import Labels, classes_in_use, without_unused

            assert model.decoding is not None
            self.decode = self._detect = DetectionDecoder(model.network, model.preprocessing, model.decoding, model.labels)
            self._in_use = classes_in_use(Labels(model.labels, model.label_ids))
            self.labels, self.label_ids = without_unused(Labels(model.labels, model.label_ids))
        elif task == "segmentation":
            from ..tasks.segmentation import SegmentationDecoder

            self._average = SegmentationDecoder(model.preprocessing, model.labels, model.background).average

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is one image, and an iterable of texts
        self, image: Source, *, threshold: float | None = ..., top: int | None = ...
    ) -> R_co: ...
    @overload
    def __call__(self, image: Iterable[Source], *, threshold: float | None = ..., top: int | None = ...) -> Iterator[R_co]: ...
    def __call__(
        self, image: Source | Iterable[Source], *, threshold: float | None = None, top: int | None = None
    ) -> R_co | Iterator[R_co]:
        """The result for one image: a `Classification`, `Detections` or `Segmentation`, by the model's task. For several images
        an iterator of their results, as `stream` makes it.

        Args:
            image: a path or URL; the bytes of an image file, or an open file; a Pillow image; a numpy array or a torch tensor
                of shape (H, W), (H, W, C) or (C, H, W). Or several: a list, a generator or any other iterable of these, a
                folder, a pattern such as ``"photos/*.jpg"``, or an array of shape (N, H, W, C) or (N, C, H, W). Or a video,
                a camera or a stream, see `video`.
                Boxes and masks are in the image's own pixels. A type checker takes every text and every array for one image;
                use `stream` where it should know better.
            threshold: the least score, 0 to 1. A detector finds no others, which takes less time; other results show no others.
            top: the largest number of predictions that a detector finds, or that other results show.

        Raises:
            ImageError: the image cannot be opened.
            OutputError: the network's outputs for it hold NaN or infinity.
            UsageError: a threshold or top out of range.
        """
        if isinstance(image, (str, os.PathLike)) and is_video(os.fsdecode(image)):
            return self.stream(image, threshold=threshold, top=top)
        if not (isinstance(image, (str, os.PathLike)) and os.path.isfile(image)):
            from ..images.sources import as_many

            if (many := as_many(image)) is not None:
                return self.stream(many, threshold=threshold, top=top)
        return self._one(cast("Source", image), threshold, top)

    def stream(
        self,
        images: Source | Iterable[Source] | Video,
        *,
        threshold: float | None = None,
        top: int | None = None,
        report: Report | None = None,
    ) -> Iterator[R_co]:
        """The results of several images, one by one, each made when it is asked for.

        Files, addresses and bytes are opened up to two images ahead, in a thread; arrays and Pillow images are not, so that a
        loop may give the same array again with other content. Memory does not grow with the number of images, unless the
        results are kept: those of arrays and Pillow images hold them.

        Args:
            images: as for a call; folders, patterns and batches may also stand in a list.
            report: is called with the error of each image that has no result, and the others go on; by default it is raised.
        """
        check_settings(threshold, top)
        from ..images.sources import as_many
        from .stream import is_video_source, opened_ahead

        many = None if is_video_source(images) else as_many(images)
        sources = [cast("Source", images)] if many is None else many

        def results() -> Iterator[R_co]:
            for opened in opened_ahead(sources, self.needed):
                try:
                    yield self._answer(*opened.result(), threshold, top)
                except (ImageError, OutputError) as error:
                    if report is None:
                        raise
                    report(error)

        return results()

    def video(
        self,
        source: str | os.PathLike[str],
        *,
        every: int = 1,
        fps: float | None = None,
        live: bool | None = None,
        threshold: float | None = None,
        top: int | None = None,
        report: Report | None = None,
    ) -> Iterator[R_co]:
        """The results of the frames of a video, a camera or a stream, with `frame` and `time`. Needs the extra ``[video]``.

        Args:
            source, every, fps, live: see `video.read.Video`, which may also be given to a call and to `stream`.
            threshold, top: as for a call.
            report: is called with the error of a frame that has no result, and the others go on; by default it is raised.

        Raises:
            ImageError: the video cannot be opened; after the results before it, if it is damaged on the way.
            UsageError: `every` or `fps` is out of range; PyAV is not installed.
        """
        from ..video.read import Video

        video = Video(os.fsdecode(source), every, fps, live)
        return self.stream(video, threshold=threshold, top=top, report=report)

    def _one(self, source: Source, threshold: float | None, top: int | None) -> R_co:
        check_settings(threshold, top)
        if isinstance(source, (str, os.PathLike)) and os.path.isfile(source):
            return self._answer(self.open(source), os.fsdecode(source), None, None, None, threshold, top)
        from ..images.sources import open_source

        return self._answer(*open_source(source, self.needed), threshold, top)

    def adjusted(
        self,
        *,
        classes: Iterable[str | int] | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
        agnostic: bool = False,
        fit: Literal["squash", "pad"] | None = None,
    ) -> Predictor[R_co]:
        """The same predictor with other rules, for one call or many: ``predict.adjusted(iou=0.4)("cat.jpg")``. Model and
        runtime are shared, so it costs nothing; what is left out is as `load` made it.

        Args:
            classes: the only ones that a detector finds, by label or by index in `labels`.
            iou: of two boxes of a class that overlap by more than this, 0 to 1, a detector keeps only the better one.
            max_detections: how many it keeps for an image, 1 to 10,000.
            agnostic: whether it drops boxes for better ones of other classes too.
            fit: "squash": the whole image is resized to the network's input; "pad": in its own proportions, the rest is gray
                (letterbox). A network is best with the one it was trained with.

        Raises:
            UsageError: a value out of range, an unknown class, or a rule for boxes where the model finds none.
        """
        from .adjust import Adjustments, adjust

        wanted = None if classes is None else tuple([classes] if isinstance(classes, str) else classes)
        return adjust(self, Adjustments(wanted, iou, max_detections, agnostic, fit))

    def open(self, path: str | os.PathLike[str]) -> Decoded:
        """An image file, decoded for `predict`: with `fast_decoding`, a large JPEG only as large as the network needs."""
        return open_reduced(path, self.needed)

    def open_bytes(self, content: bytes, name: str) -> Decoded:
        """The same of an image file's bytes, which errors call `name`."""
        return decode_reduced(content, name, self.needed)

    def _answer(
        self,
        image: Decoded,
        path: str | None,
        source: Source | None,
        frame: int | None,
        time: float | None,
        threshold: float | None,
        top: int | None,
    ) -> R_co:
        try:
            result = self.predict(image, threshold=threshold, top=top)
            return replace(result, path=path, image=source, frame=frame, time=time)
        except OutputError as error:
            if path is None:
                raise
            raise OutputError(error.name, path) from None

    def predict(self, image: Decoded, *, threshold: float | None = None, top: int | None = None) -> R_co:
        """The result for an image that `open` or `open_image` has opened; saves opening it a second time."""
        changes: dict[str, object] = {"size": image.size, "label_ids": self.label_ids}
        if threshold is not None:
            changes["threshold"] = threshold
        if top is not None and self._detect is None:
            changes["max_shown"] = top
        if self._average is not None:
            return cast("R_co", replace(self._average(self.runtime, image, self.views), **changes))
        detect = self._detect if top is None or self._detect is None else self._detect.limited(top)
        if detect is not None and self.views != ONE_VIEW:
            found = detect.average(self.runtime, image, self.views, threshold)
        else:
            outputs = self.runtime(self.model.preprocessing.batch(image))
            check_finite(outputs)
            if detect is None:
                return cast("R_co", replace(self.decode(outputs, 0, image.size), **changes))
            found = detect(outputs, 0, image.size, threshold)
        if self._in_use is not None:
            found, changes["labels"] = found.renumbered(self._in_use), self.labels
        return cast("R_co", replace(found, **changes))

    @overload
    def embed(  # type: ignore[overload-overlap]
        self, image: Source
    ) -> NDArray[np.float32]: ...
    @overload
    def embed(self, image: Iterable[Source]) -> Iterator[NDArray[np.float32]]: ...
    def embed(self, image: Source | Iterable[Source]) -> NDArray[np.float32] | Iterator[NDArray[np.float32]]:
        """What the network knows of an image before it decides: (D,) float32, of several images an iterator of these.

        A classifier's are the inputs of its last layer (MobileNetV2 1.0: D = 1280, all at least 0), those of a detector or
        segmenter the means over the last map of its backbone. The closer two images' vectors point in one direction, the more
        they show the same. The backend computes them, in float32 for a quantized model too; nothing after the layer runs.

        Args:
            image: as for a call.
        """
        if self._embedder is None:
            from .embedding import Embedder

            settings = self._loaded.settings if self._loaded is not None else {}
            backend, device = settings.get("backend", "native"), settings.get("device")
            self._embedder = Embedder(self.model, backend, self.runtime.threads, device)
        embedder = self._embedder
        from ..images.sources import as_many, open_source

        if (many := as_many(image)) is None:
            return embedder(open_source(cast("Source", image)).image)
        from .stream import opened_ahead

        return (embedder(opened.result().image) for opened in opened_ahead(many))

    @property
    def task(self) -> Task:
        """ "classification", "detection" or "segmentation"."""
        return self.model.network.task

    @property
    def names(self) -> dict[int, str]:
        """The labels by index."""
        return dict(enumerate(self.labels))

    def info(self) -> Info:
        """What the model is: its network, size, cost, labels and preprocessing, where it comes from and how good it is."""
        from .info import info_of

        return info_of(self.model, self.runtime)

    def activation_bytes(self) -> int:
        """Bytes of activations for one image: the runtime's plan, or the sum layer by layer if it has none."""
        return self.runtime.planned_bytes(self.model.network.resolution)

    def __repr__(self) -> str:
        network, threads = self.model.network, self.runtime.threads
        height, width = self.model.preprocessing.size
        on = "" if threads is None else f" on {threads} {'thread' if threads == 1 else 'threads'}"
        what = f"{network.task} of {len(self.labels)} classes by {network.architecture} at {width}x{height}"
        return f"<Predictor: {what}, {self.runtime.name}{on}>"

    def __copy__(self) -> Predictor[R_co]:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo: object) -> Predictor[R_co]:
        return self.__copy__()  # model and runtime are never changed

    def __reduce__(self) -> tuple[object, ...]:
        model = (self._base or self).model
        if self._loaded is not None:
            return self._loaded.load_again, self._loaded.origin(model), self._adjustments
        from .origin import picklable

        return Predictor, (model, picklable(self.runtime), self.views, self.fast_decoding), self._adjustments

    def __setstate__(self, adjustments: Adjustments) -> None:
        from .adjust import adjust

        self.__dict__ = adjust(self.__copy__(), adjustments).__dict__


def check_settings(threshold: float | None, top: int | None) -> None:
    """UsageError for a threshold outside of 0 to 1, or a `top` that is no integer above 0."""
    check_count("top", top, "leave it out for all")
    valid = isinstance(threshold, (int, float)) and not isinstance(threshold, bool) and 0 <= threshold <= 1
    if threshold is not None and not valid:
        raise UsageError(f"threshold {short_repr(threshold)}: must be a number from 0 to 1, for example 0.5")
