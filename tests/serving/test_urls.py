"""Images by their address: switched off unless asked for, and never from a private network."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.serving import PNG, need_packages, state_of, write_models

from mobilenet import transfer
from mobilenet.images.address import download_public
from mobilenet.images.open import ImageError
from mobilenet.transfer import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "::7f00:1",
    ],
)  # fmt: skip
def test_private_addresses(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.69", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


@contextmanager
def web(moved_to=None):
    """The address of a server that has /photo.png, /moved (to another host) and /big."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", moved_to)
                self.end_headers()
                return
            content = PNG if self.path == "/photo.png" else bytes(2_000_000)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def this_machine_is_public(monkeypatch):
    """127.0.0.1, and no other private address."""
    monkeypatch.setattr(transfer, "is_public", lambda address: address == "127.0.0.1" or is_public(address))


def test_this_machine_is_not_asked():
    with web() as host, pytest.raises(ImageError, match=r"127\.0\.0\.1, which is not an address of the public internet"):
        download_public(f"{host}/photo.png", 10**6)
    with pytest.raises(ImageError, match="only http and https"):
        download_public("file:///etc/passwd", 10**6)


@pytest.mark.usefixtures("this_machine_is_public")
def test_a_redirect_is_checked_too(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # it would connect in our place, so it is not used
    with web("http://127.0.0.2:1/secret") as host:
        assert download_public(f"{host}/photo.png", 10**6) == PNG
        with pytest.raises(ImageError, match=r"127\.0\.0\.2, which is not"):
            download_public(f"{host}/moved", 10**6)
        with pytest.raises(ImageError, match="1000000 bytes"):
            download_public(f"{host}/big", 10**6)


@pytest.mark.usefixtures("this_machine_is_public")
def test_addresses_are_answered_where_they_are_switched_on(tmp_path):
    need_packages()
    from starlette.testclient import TestClient

    from mobilenet.serving.app import make_app

    state = state_of({"toy": write_models(tmp_path)["toy"]}, fetch_urls=True, max_images=2)
    with web() as host, TestClient(make_app(state)) as client:
        urls = [f"{host}/photo.png", "http://10.0.0.1/"]
        first, second = client.post("/v1/models/toy/predict", json={"urls": urls}).json()
        assert (first["input"], second["input"]) == tuple(urls)
        assert first["predictions"] == client.post("/v1/models/toy/predict", content=PNG).json()["predictions"]
        assert "not an address of the public internet" in second["error"]
        for wrong in ({"urls": []}, {"urls": [5]}, {"urls": urls * 2}, []):
            assert client.post("/v1/models/toy/predict", json=wrong).status_code == 400
