"""Models of the Hugging Face hub by address, ``hf://user/name``: pinned by revision and sha256, and kept in the cache.

An address may end in ``@`` and a revision: a whole commit, which never changes, or a branch or tag, about which the hub is
asked each time. Without one the main branch is asked about once, and what it was then is loaded ever after. Nothing but
``model.safetensors`` is fetched, and nothing in it is run.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from .. import modelfile
from ..errors import UsageError, short_repr
from ..files import WriteError, digest, remove_leftovers, write_atomically
from ..limits import parse_json
from ..modelfile import ModelFile, ModelFileError
from .cache import Report, cache_folder
from .carriers import MAX_FILE, FetchError
from .download import DownloadError, download
from .pins import FULL
from .published import short

FILE = "model.safetensors"
MAX_ANSWER = 2**20
COMMIT = re.compile(r"[0-9a-f]{40}")
ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,200}))?")


class Place(NamedTuple):
    """A repository of the hub, and the revision that was asked for, or None."""

    repository: str
    revision: str | None


class Revision(NamedTuple):
    """A commit of a repository, and the sha256 of its model file; empty if nobody has said it."""

    commit: str
    sha256: str


def parse_address(source: str) -> Place:
    """Raises UsageError for anything but ``hf://user/name`` and ``hf://user/name@revision``."""
    match = ADDRESS.fullmatch(source)
    if match is None or ".." in source:
        raise UsageError(f"{short_repr(source)}: must be hf://user/name, or hf://user/name@revision")
    return Place(match[1], match[2])


def load_from_hub(source: str, report: Report) -> ModelFile:
    """The model at an address of the hub. Raises FetchError if it cannot be fetched, ModelFileError if it is no model file."""
    path = hub_file(source, report)
    try:
        return modelfile.read(path)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error}") from error


def hub_file(source: str, report: Report = lambda line: None) -> Path:
    """The path of the model file in the cache; fetched and verified if it is not there.

    A file that is there is compared with its sha256 whenever it is asked for, and fetched again if it is damaged.
    """
    place = parse_address(source)
    folder = Path(cache_folder()) / "hub" / place.repository.replace("/", "--")
    revision = pinned_revision(source, place, folder, report)
    path = folder / revision.commit / FILE
    if path.is_file():
        found = digest(path)
        if not revision.sha256 or found == revision.sha256:
            return path
        report(
            f"{source}: the file in the cache has sha256 {short(found)}, pinned is {short(revision.sha256)}; fetching it again"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        found = fetch(source, place.repository, revision, path)
        if not revision.sha256:
            pin(folder, key_of(place), revision._replace(sha256=found))
    except (OSError, WriteError) as error:
        reason = getattr(error.__cause__ or error, "strerror", None) or error
        raise FetchError(f"{folder}: {reason}; free some room or set MOBILENET_CACHE to another folder") from error
    report(f"{source}: revision {revision.commit[:12]}, sha256 {short(found)}; brought and pinned")
    return path


def key_of(place: Place) -> str:
    return place.revision or ""


def pinned_revision(source: str, place: Place, folder: Path, report: Report) -> Revision:
    """The revision that an address means.

    A commit, and an address without a revision, are pinned on first use. About a branch or tag the hub is asked again; if it
    does not answer, it is what it was the last time, and `report` says so.
    """
    known = read_pins(folder).get(key_of(place))
    if known is not None and (place.revision is None or COMMIT.fullmatch(place.revision)):
        return known
    try:
        revision = ask(source, place)
    except DownloadError as error:
        if known is not None:
            report(f"{source}: {error}; taking revision {known.commit[:12]}, as the last time")
            return known
        raise FetchError(
            f"{source}: the hub at {endpoint()} {error}; check the name, the revision and, for a private one, HF_TOKEN"
        ) from error
    if known is not None and known.commit == revision.commit and known.sha256:
        if revision.sha256 not in ("", known.sha256):
            raise FetchError(
                f"{source}: the hub now says another sha256 for the same commit; somebody changed what was published"
            )
        return known
    try:
        pin(folder, key_of(place), revision)
    except WriteError as error:
        report(f"{source}: not pinned ({error})")
    return revision


def ask(source: str, place: Place) -> Revision:
    """What the hub says of a revision. Raises DownloadError."""
    name = quote(place.revision or "main", safe="")
    answer = download(f"{endpoint()}/api/models/{place.repository}/revision/{name}?blobs=true", MAX_ANSWER, secret=token())
    try:
        value = parse_json(answer.content)
        commit = value["sha"]
        (entry,) = (each for each in value["siblings"] if each["rfilename"] == FILE)
        sha256 = (entry.get("lfs") or {}).get("sha256") or ""
        if not COMMIT.fullmatch(commit) or not re.fullmatch(rf"([0-9a-f]{{{FULL}}})?", sha256):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"names no {FILE} in {place.repository}, or answers otherwise than the hub does") from error
    return Revision(commit, sha256)


def fetch(source: str, repository: str, revision: Revision, path: Path) -> str:
    """Writes the model file of a revision to `path`, and returns its sha256, which must be the pinned one."""
    from hashlib import sha256

    try:
        content = download(f"{endpoint()}/{repository}/resolve/{revision.commit}/{FILE}", MAX_FILE, secret=token()).content
    except DownloadError as error:
        raise FetchError(f"{source}: {FILE} of revision {revision.commit[:12]}: the hub {error}; try again") from error
    found = sha256(content).hexdigest()
    if revision.sha256 not in ("", found):
        raise FetchError(f"{source}: {FILE} has sha256 {short(found)}, pinned is {short(revision.sha256)}; it is not used")
    write_atomically(path, content)
    return found


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def token() -> str:
    """The header that says who asks, or "": HF_TOKEN, or what ``hf auth login`` has left."""
    value = os.environ.get("HF_TOKEN", "").strip()
    if not value:
        home = os.environ.get("HF_HOME", "").strip() or os.path.expanduser("~/.cache/huggingface")
        try:
            value = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).read_text("utf-8").strip()
        except (OSError, ValueError):
            return ""
    return f"Bearer {value}" if value.isascii() and value.isprintable() and " " not in value and value else ""


def read_pins(folder: Path) -> dict[str, Revision]:
    """Revisions by name; none if there is no file yet or it is damaged: they are pinned anew."""
    try:
        entries = json.loads((folder / "pins.json").read_text("utf-8"))
        return {
            str(name): Revision(entry["commit"], entry["sha256"])
            for name, entry in entries.items()
            if COMMIT.fullmatch(entry["commit"]) and len(entry["sha256"]) in (0, FULL)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def pin(folder: Path, name: str, revision: Revision) -> None:
    """Raises WriteError if the cache cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); set MOBILENET_CACHE to a writable folder") from error
    pins = {each: found._asdict() for each, found in read_pins(folder).items()}
    write_atomically(folder / "pins.json", (json.dumps({**pins, name: revision._asdict()}, indent=2) + "\n").encode())
