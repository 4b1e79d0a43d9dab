"""A server behind a socket: bounds on size, time and number, changed models, and its end."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.models import toy
from support.serving import PNG, PREDICT, listening, need_packages, state_of

from mobilenet import modelfile

need_packages()


@pytest.fixture(scope="module")
def lines():
    return []


@pytest.fixture(scope="module")
def state(files, lines):
    bounds = {"max_body_bytes": 200_000, "max_held_bytes": 400_000, "queue": 2, "connections": 40}
    seconds = {"header_seconds": 0.3, "body_seconds": 0.4, "request_seconds": 1.0, "watch_seconds": 0.05}
    return state_of({"toy": files["toy"]}, lines, workers=1, **bounds, **seconds)


@pytest.fixture(scope="module")
def address(state):
    with listening(state) as address:
        yield address


def ask(address, path=PREDICT, body=PNG, headers=None, method="POST"):
    """(status, headers, value) of one request."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        content = response.read()
        return response.status, response.headers, json.loads(content) if content[:1] in b"{[" else content
    finally:
        connection.close()


def raw(address, *parts, pause=0.0):
    """What the server answers to these bytes until it closes the connection."""
    with socket.create_connection(address, timeout=10) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        received = b""
        while block := client.recv(65536):
            received += block
        return received


def waiting_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def busy(state):
    """The only worker is at work until the test sets the event."""
    release = threading.Event()
    for _ in range(state.pool.workers):
        state.pool.num_pending += 1
        state.pool.executor.submit(release.wait, 20).add_done_callback(
            lambda future: setattr(state.pool, "num_pending", state.pool.num_pending - 1)
        )
    yield release
    release.set()
    waiting_for(lambda: state.pool.num_pending == 0)


def test_many_clients_are_all_answered(address):
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: ask(address), range(40)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 429}
    assert len({json.dumps(value["predictions"]) for status, _, value in answers if status == 200}) == 1
    assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in answers if status == 429)


def test_a_full_queue_refuses_at_once(address, state, busy):
    before = state.metrics.counters.get("mobilenet_refused_total", {}).get((), 0)
    with ThreadPoolExecutor(2) as clients:
        waiting = [clients.submit(ask, address) for _ in range(2)]
        waiting_for(lambda: state.pool.num_waiting == 2)
        start = time.monotonic()
        status, headers, value = ask(address)
        assert time.monotonic() - start < 1
        assert (status, value["status"], headers["retry-after"]) == (429, 429, "1")
        busy.set()
        assert [future.result()[0] for future in waiting] == [200, 200]
    assert state.metrics.counters["mobilenet_refused_total"][()] == before + 1


def test_a_request_ends_when_its_time_is_over_and_leaves_the_queue(address, state, busy):
    start = time.monotonic()
    status, _, value = ask(address)
    assert (status, "1 s" in value["error"]) == (503, True)
    assert 0.9 < time.monotonic() - start < 4
    assert state.pool.num_waiting == 0


def test_a_body_that_is_announced_too_large_is_not_read(address):
    """A client that waits for leave to send gets the refusal in its place."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n" % PREDICT.encode()
    answer = raw(address, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_body_that_turns_out_too_large_is_dropped(address, state):
    block = b"%x\r\n%s\r\n" % (50_000, bytes(50_000))
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % PREDICT.encode()
    assert raw(address, head, *[block] * 6, b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    waiting_for(lambda: state.held.num_bytes == 0)


def test_slow_clients_are_sent_away(address):
    """Head or body, byte by byte."""
    assert raw(address, b"POST ", b"/", b"v", pause=0.15).startswith(b"HTTP/1.1 408 ")
    start = time.monotonic()
    assert raw(address, b"", pause=0.01).startswith(b"HTTP/1.1 408 ")  # says nothing at all
    assert time.monotonic() - start < 2
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" % PREDICT.encode()
    answer = raw(address, head, *[b"x"] * 4, pause=0.12)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"status":408' in answer


def test_bodies_at_once_are_bounded_together(address, state):
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 190000\r\n\r\n" % PREDICT.encode()
    clients = [socket.create_connection(address, timeout=10) for _ in range(3)]
    try:
        for client in clients:
            client.sendall(head + bytes(150_000))
        answers = b"".join(client.recv(4000) for client in clients)
        assert answers.count(b"HTTP/1.1 429 ") >= 1
        assert answers.count(b"HTTP/1.1 408 ") == 3 - answers.count(b"HTTP/1.1 429 ")
    finally:
        for client in clients:
            client.close()
    waiting_for(lambda: state.held.num_bytes == 0)


def test_connections_are_bounded(address, state):
    clients = [socket.create_connection(address, timeout=10) for _ in range(40)]
    try:
        waiting_for(lambda: state.num_connections >= 40)
        assert raw(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", pause=0.01).startswith(b"HTTP/1.1 503 ")
    finally:
        for client in clients:
            client.close()
    waiting_for(lambda: state.num_connections == 0)
    assert ask(address, "/healthz", None, method="GET")[0] == 200


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"]
)
def test_what_is_no_http_gets_one_error(address, sent):
    answer = raw(address, sent + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"status": 400' in answer


def test_a_connection_serves_many_requests(address):
    connection = http.client.HTTPConnection(*address, timeout=10)
    for body in (PNG, b"broken", PNG):
        connection.request("POST", PREDICT, body)
        response = connection.getresponse()
        response.read()
        assert response.status == (422 if body == b"broken" else 200)
    connection.close()


def test_no_part_of_an_answer_waits_for_an_acknowledgement():
    """A connection sends its parts at once, though asyncio has not made its socket."""
    from mobilenet.serving import server

    with server.listening("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname()):
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_changed_file_is_loaded_again_and_a_damaged_one_is_not(address, state, files, lines, tmp_path):
    before = ask(address)[2]["predictions"]
    old = state.models["toy"]
    shutil.copy(files["toy"], tmp_path / "old")
    (tmp_path / "damaged").write_bytes(b"damaged")
    os.replace(tmp_path / "damaged", files["toy"])
    waiting_for(lambda: any("not loaded again" in line for line in lines))
    assert ask(address)[2]["predictions"] == before
    assert state.models["toy"] is old
    modelfile.write(toy(classes=2), files["toy"])
    waiting_for(lambda: state.models["toy"] is not old)
    assert {each["label"] for each in ask(address)[2]["predictions"]} == {"a", "b"}
    os.replace(tmp_path / "old", files["toy"])
    waiting_for(lambda: len(state.models["toy"].predictor.labels) == 3)
    assert ask(address)[2]["predictions"] == before
    text = ask(address, "/metrics", None, method="GET")[2].decode()
    assert 'mobilenet_reloads_total{model="toy",result="failed"} 1' in text


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_command_reloads_at_sighup_and_answers_what_is_at_work_before_it_ends(tmp_path):
    """The whole command: its address, SIGHUP, SIGTERM in the middle of a request."""
    model = tmp_path / "toy.safetensors"
    modelfile.write(toy(), model)
    command = [sys.executable, "-m", "mobilenet", "serve", f"pets={model}", "--port", "0", "--watch", "0", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            host, port = re.search(r"http://(\S+):(\d+) serves pets", line).groups()
            address = host, int(port)
            assert len(ask(address, "/v1/models/pets/predict")[2]["predictions"]) == 3
            modelfile.write(toy(classes=2), model)
            process.send_signal(signal.SIGHUP)
            assert "loaded again" in process.stderr.readline()
            head = b"POST /v1/models/pets/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(PNG)
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(head + PNG[:100])
                time.sleep(0.3)  # the request has begun
                process.terminate()
                time.sleep(0.3)
                client.sendall(PNG[100:])
                received = b""
                while block := client.recv(65536):
                    received += block
            assert received.startswith(b"HTTP/1.1 200 ")
            assert received.count(b'"label"') == 2
            assert process.wait(10) == -signal.SIGTERM
            assert process.stderr.read() == ""
        finally:
            process.kill()
