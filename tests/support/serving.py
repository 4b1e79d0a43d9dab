"""A server of small models, in this process or behind a socket."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager

import pytest
from PIL import Image

from mobilenet import modelfile
from support.models import IMAGE, detector, segmenter, toy

PACKAGES = ("starlette", "uvicorn", "python_multipart")


def need_packages() -> None:
    for name in PACKAGES:
        pytest.importorskip(name, reason=f"{name} is not installed; it comes with mobilenet[serve]")


def write_models(folder):
    """name -> file of a small classifier, detector and segmenter."""
    files = {}
    for name, model in (("toy", toy()), ("boxes", detector()), ("masks", segmenter())):
        files[name] = str(folder / f"{name}.safetensors")
        modelfile.write(model, files[name])
    return files


def state_of(sources, lines=None, workers=2, **allowance):
    from mobilenet.serving.models import Loader, Models
    from mobilenet.serving.settings import Allowance
    from mobilenet.serving.state import State

    report = (lambda line: None) if lines is None else lines.append
    return State(Models(sources, Loader(num_callers=workers), report), Allowance(**allowance), workers)


@contextmanager
def listening(state):
    """(host, port) of the server of `state`, which runs in a thread."""
    import uvicorn

    from mobilenet.serving.app import make_app
    from mobilenet.serving.server import Server, listening as bound, protocol_of

    started = threading.Event()
    config = uvicorn.Config(
        make_app(state), http=protocol_of(state), ws="none", lifespan="on", log_level="critical", timeout_graceful_shutdown=2
    )
    with bound("127.0.0.1", 0) as socket:
        server = Server(config, state, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
        thread.start()
        assert started.wait(20)
        try:
            yield socket.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


PNG = file_of(IMAGE)
PREDICT = "/v1/models/toy/predict"
