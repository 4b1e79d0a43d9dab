"""Archives of Python packages from the user's own package index, without running anything of a package.

`pip download` builds the metadata of a source archive, which runs the package's setup.py and the newest build tools. So pip is
only asked for its configuration; the index is read here, by the simple API (PEP 503 and 691), and the archive is downloaded
as a file.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from ..limits import TooLarge, parse_json
from .download import Connection, DownloadError, download

PYPI = "https://pypi.org/simple"
ACCEPT = {"Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"}
PIP_TIMEOUT = 60  # seconds for pip to print its configuration
MAX_PAGE = 16 * 2**20  # bytes of an index's page of one package


@dataclass(frozen=True)
class Sources:
    """Where the user's pip looks for packages: indexes by address, pages or folders of links, and how to reach them."""

    indexes: tuple[str, ...]
    links: tuple[str, ...]
    connection: Connection


class Link(NamedTuple):
    """A file on an index's page; `digest` is the sha256 that the page states, or empty."""

    url: str
    digest: str


def package_archive(package: str, version: str, digest: str, max_bytes: int) -> bytes:
    """The archive of `package` whose sha256 is `digest`, from the first source that has it.

    Raises:
        DownloadError: no source has it; the message holds each one's answer.
    """
    sources = configured_sources()
    refusals = []
    for page in (*(f"{index.rstrip('/')}/{normalized(package)}/" for index in sources.indexes), *sources.links):
        refusal = f"has no {package} {version}"
        try:
            for link in links(page, sources.connection):
                if is_archive(link, package, version, digest):
                    content = download(link.url, max_bytes, None, sources.connection).content
                    if sha256(content).hexdigest() == digest:
                        return content
                    refusal = f"has an archive of another sha256 than {digest}"
        except DownloadError as error:
            refusal = str(error)
        refusals.append(refusal)
    raise DownloadError(", ".join(dict.fromkeys(refusals)) or "pip has no index (no-index is set)")


def configured_sources() -> Sources:
    """pip's own settings, in its order: the environment, then its files; PyPI if pip is not there to say."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    settings: dict[str, str] = {}
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        listed = "".join(
            f":env:.{key[4:].lower().replace('_', '-')}={value!r}\n" for key, value in os.environ.items() if key[:4] == "PIP_"
        )
    for section in ("global", "install", "download", ":env:"):  # each over the ones before
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                settings[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    indexes = (settings.get("index-url", PYPI), *settings.get("extra-index-url", "").split())
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = ()
    trusted = tuple(host.partition(":")[0] for host in settings.get("trusted-host", "").split())
    connection = Connection(settings.get("cert", ""), settings.get("proxy", ""), trusted)
    return Sources(indexes, tuple(settings.get("find-links", "").split()), connection)


def normalized(package: str) -> str:
    """A package's name in an address (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()


def is_archive(link: Link, package: str, version: str, digest: str) -> bool:
    """Whether the link is of that digest; by name if the page states none."""
    file = unquote(urlsplit(link.url).path).rpartition("/")[2]
    named = normalized(file).startswith(f"{normalized(package)}-{normalized(version)}")
    return link.digest == digest if link.digest else named


def links(page: str, connection: Connection) -> Iterator[Link]:
    """The files of an index's page, or of a folder of this machine."""
    parts = urlsplit(page)
    folder = Path(unquote(parts.path)) if parts.scheme == "file" else Path(page)
    if parts.scheme in ("", "file") and folder.is_dir() and not (folder / "index.html").is_file():
        for path in sorted(folder.iterdir()):
            yield Link(path.absolute().as_uri(), "")
        return
    if parts.scheme in ("", "file"):
        page = (folder / "index.html" if folder.is_dir() else folder).absolute().as_uri()
    answer = download(page, MAX_PAGE, ACCEPT, connection)
    base = with_user(answer.url, page)
    if answer.content_type.endswith("+json"):
        listed = json_links(answer.content)
    else:
        parser = Anchors()
        try:
            parser.feed(answer.content.decode("utf-8", "replace"))
        except (AssertionError, ValueError, RecursionError) as error:  # html.parser asserts that declarations are known
            raise DownloadError(f"its page of the package does not parse ({error!r:.80})") from error
        listed = parser.links
    for link in listed:
        try:
            yield link._replace(url=with_user(urljoin(base, link.url), page))
        except ValueError:  # no address at all, for example http://[
            continue


def json_links(content: bytes) -> list[Link]:
    try:
        return [Link(str(file["url"]), str(file["hashes"].get("sha256", ""))) for file in parse_json(content)["files"]]
    except TooLarge as error:
        raise DownloadError(f"its page of the package, {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(f"its page of the package does not parse ({error!r:.80})") from error


class Anchors(HTMLParser):
    """The links of a page with the sha256 that stands behind their #."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        url, fragment = urldefrag(dict(attrs).get("href") or "" if tag == "a" else "")
        if url:
            kind, _, digest = fragment.partition("=")
            self.links.append(Link(url, digest if kind == "sha256" else ""))


def with_user(url: str, index: str) -> str:
    """`url` with the user and password of `index`, if both are addresses of one host."""
    parts, own = urlsplit(url), urlsplit(index)
    if own.username is None or parts.username is not None or (parts.scheme, parts.hostname) != (own.scheme, own.hostname):
        return url
    return urlunsplit(parts._replace(netloc=f"{own.netloc.rpartition('@')[0]}@{parts.netloc}"))
