"""A model to the Hugging Face hub, by the hub's own library. Needs the extra ``[hub]``."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MobilenetError, UsageError, short_repr
from ..zoo.hub import endpoint
from .card import Card, make_card, model_file
from .folder import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class Pushed(NamedTuple):
    """What is on the hub now: the commit, the page's address, and the sha256 of the model file."""

    commit: str
    url: str
    sha256: str


class PushError(MobilenetError):
    """The hub did not take the model."""


def push(source: str, address: str, samples: Sequence[str] = (), private: bool = False) -> Pushed:
    """Uploads a run, a model file or a known model as one commit: the model file, its card, samples, and exports of the run.

    The repository is made if it is not there. What it holds under other names stays.

    Raises:
        UsageError: the address is not ``user/name``, or huggingface_hub is not installed.
        PushError: the hub refuses, or cannot be reached.
        MobilenetError: there is no such model, or a sample cannot be read.
    """
    check_address(address)
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise UsageError(f"push needs huggingface_hub ({error}); pip install 'mobilenet[hub]'") from error
    card = make_card(source, samples, address)
    with tempfile.TemporaryDirectory() as name:
        fill(card, model_file(source)[1], Path(name))
        return upload(card, Path(name), address, private)


def check_address(address: str) -> None:
    if not NAME.fullmatch(address) or ".." in address or "--" in address:
        raise UsageError(f"{short_repr(address)}: must be user/name, of letters, digits, '.', '_' and '-'")


def upload(card: Card, folder: Path, address: str, private: bool) -> Pushed:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), library_name="mobilenet")
    try:
        api.create_repo(address, private=private, exist_ok=True)
        found = api.upload_folder(repo_id=address, folder_path=folder, commit_message=f"{card.name}: model file and card")
    except Exception as error:  # of the library, and of each library that it has used for HTTP
        raise PushError(
            f"{address}: the hub at {endpoint()} did not take it ({' '.join(str(error).split())[:250]}); "
            "log in with 'hf auth login' or set HF_TOKEN to a token that may write"
        ) from error
    return Pushed(found.oid, f"{endpoint()}/{address}", card.sha256)
