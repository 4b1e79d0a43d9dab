"""``mobilenet serve``: models over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..errors import MobilenetError, UsageError
from ..runtimes.backends import divided, limit_numpy
from .predictor import backend_option, device_option, precision_option
from .shell import command, parse_bytes, say

if TYPE_CHECKING:
    from ..serving.models import Loader, Models

DEFAULT_MODELS = ("imagenet", "coco", "voc-small")
PACKAGES = ("starlette", "uvicorn", "python_multipart")


@command
@click.argument("models", nargs=-1, metavar="[MODEL ...]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for every network.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option("--workers", type=click.IntRange(1, 256), help="Threads that answer; by default one for each core.")
@click.option("--threads", type=click.IntRange(1, 256), help="Threads for one image; by default 1, the most images per second.")
@click.option("--queue", type=click.IntRange(0, 100_000), default=32, show_default=True, help="Requests that may wait.")
@click.option("--max-body", callback=parse_bytes, default="20MiB", show_default=True, help="Most bytes of a request.")
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True, help="Seconds for a request.")
@click.option("--drain", type=click.FloatRange(0, 3600), default=30.0, show_default=True, help="Seconds to finish at SIGTERM.")
@click.option("--watch", type=click.FloatRange(0, 3600), default=2.0, show_default=True, help="Seconds between looks at files.")
@click.option("--connections", type=click.IntRange(1, 100_000), default=512, show_default=True, help="That may be open.")
@click.option("--fetch-urls", is_flag=True, help="Let clients name images by a public address.")
@click.option("--certificate", type=click.Path(dir_okay=False), help="PEM file: serve https. Phones want it for the camera.")
@click.option("--key", type=click.Path(dir_okay=False), help="PEM file of the certificate's key.")
@click.option("--access-log", is_flag=True, help="One line on stderr for each request.")
@backend_option
@device_option
@precision_option
def serve(
    models: Sequence[str],
    host: str,
    port: int,
    workers: int | None,
    threads: int | None,
    queue: int,
    max_body: int,
    timeout: float,
    drain: float,
    watch: float,
    connections: int,
    fetch_urls: bool,
    certificate: str | None,
    key: str | None,
    access_log: bool,
    backend: str,
    device: str | None,
    precision: str | None,
) -> None:
    """Serve models over HTTP, with a page to try them.

    A MODEL is the name of a known model, a model file, or NAME=MODEL; by default imagenet, coco and voc-small. A file that
    changes on disk is loaded again, as are all models at SIGHUP. Addresses are listed at /docs.
    """
    require_packages()
    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key: https needs both, or neither")
    workers, threads = divided(backend, device, workers, threads)
    limit_numpy(backend, threads)
    from ..serving.models import Loader
    from ..serving.server import Encryption, run
    from ..serving.settings import Allowance
    from ..serving.state import State

    allowance = Allowance(
        max_body_bytes=max_body,
        max_held_bytes=max(Allowance.max_held_bytes, 2 * max_body),
        queue=queue,
        connections=connections,
        request_seconds=timeout,
        body_seconds=min(Allowance.body_seconds, timeout),
        drain_seconds=drain,
        watch_seconds=watch,
        fetch_urls=fetch_urls,
    )
    loader = Loader(backend, threads, workers, device, precision)
    state = State(load_all(models, loader), allowance, workers)
    encryption = None if certificate is None or key is None else Encryption(certificate, key)

    def started(address: str) -> None:
        ones = "worker" if workers == 1 else "workers"
        say(f"{address} serves {', '.join(state.models)} ({workers} {ones}); Ctrl-C ends it")

    run(state, host, port, encryption, access_log, started)


def load_all(arguments: Sequence[str], loader: Loader) -> Models:
    """The models that were asked for; of the default ones, those that can be had."""
    from ..serving.models import Models, named_sources

    if arguments:
        return Models(named_sources(arguments), loader, say)
    models = Models({name: name for name in DEFAULT_MODELS}, loader, say, may_miss=True)
    if not models:
        raise MobilenetError("no default model could be had; name a model file, for example: mobilenet serve m.safetensors")
    return models


def require_packages() -> None:
    """UsageError if the extra is not installed."""
    from importlib.util import find_spec

    missing = [name.replace("_", "-") for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"serve needs {', '.join(missing)}; pip install 'mobilenet[serve]'")
