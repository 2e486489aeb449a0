"""What no client library sends, to a real server of each kind: slow, endless, ambiguous, cut short."""

import socket
import threading
from collections.abc import Generator
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.attacks.wire import LOGIN, PROBE, crowd, lives, post, say
from tests.config.servers import COMMANDS, Served, serving

PATIENCE = 3  # REQUEST_SECONDS of the servers here
CLIENTS = 24  # three for each thread of gunicorn
PIECE = b'{"email": "somebody@acme.example", "password": "x"}'
TWO = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """One that has a database without a table in it, which these requests never reach."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    url = f"sqlite:///{folder / 'empty.sqlite3'}"
    with serving(url, folder, request.param, REQUEST_SECONDS=str(PATIENCE)) as server:
        yield server
        assert lives(server) < PATIENCE


SLOW = {
    "the head": (post(b"", "Content-Length: 100000")[:-2], b"X: y\r\n"),
    "the body": (post(b"{", "Content-Length: 100000"), b" "),
    "the body in pieces": (post(b"1\r\n{\r\n", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "nothing at all": (b"", b""),
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_slow_clients_keep_nobody_out_and_are_cut_off(sent: tuple[bytes, bytes], served: Served) -> None:
    first, drop = sent
    began = monotonic()
    with crowd(served, CLIENTS, first) as connections:
        stop = threading.Event()
        trickle = threading.Thread(target=dripping, args=[connections, drop, stop])
        trickle.start()
        try:
            assert lives(served) < 2 * PATIENCE + 2
            for connection in connections:
                assert heard_the_end(connection)
            assert monotonic() - began < 6 * PATIENCE
        finally:
            stop.set()
            trickle.join()


def dripping(connections: list[socket.socket], drop: bytes, stop: threading.Event) -> None:
    while drop and not stop.wait(0.3):
        for connection in connections:
            try:
                connection.sendall(drop)
            except OSError:
                continue


def heard_the_end(connection: socket.socket) -> bool:
    """Whether the server hangs up, whatever it says before."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


def test_a_client_that_is_a_little_slow_is_served(served: Served) -> None:
    with crowd(served, 1, post(b"", f"Content-Length: {len(PIECE)}")) as (connection,):
        sleep(PATIENCE / 3)
        connection.sendall(PIECE)
        assert b" 503 " in connection.recv(65536)  # since there is no table to look into


def test_a_head_without_an_end_is_refused_before_it_is_large(served: Served) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 900) for number in range(100))
    heard = say(served, PROBE[:-2], *[lines] * 50)
    assert heard.statuses in ([431], [400], [])  # none where the connection was reset before the answer was read
    assert heard.seconds < PATIENCE


LONG = {
    "an address": b"GET /v1/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a query": b"GET /v1/admin/me?q=" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a bearer": PROBE.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer " + b"a" * 1_000_000 + b"\r\n\r\n"),
    "a list of headers": PROBE[:-2] + b"".join(b"X-%d: y\r\n" % number for number in range(20_000)) + b"\r\n",
}


@pytest.mark.parametrize("sent", LONG.values(), ids=LONG)
def test_what_is_too_long_is_refused(sent: bytes, served: Served) -> None:
    assert set(say(served, sent).statuses) <= {400, 414, 431}


AMBIGUOUS = {
    "two lengths": post(PIECE, "Content-Length: 2", "Content-Length: 51"),
    "a list of lengths": post(PIECE, "Content-Length: 51, 51"),
    "a length with a sign": post(PIECE, "Content-Length: +51"),
    "a negative length": post(PIECE, "Content-Length: -1"),
    "a length in hexadecimal": post(PIECE, "Content-Length: 0x33"),
    "a length and chunks": post(b"0\r\n\r\n" + TWO, "Content-Length: 4", "Transfer-Encoding: chunked"),
    "chunks and a length": post(b"0\r\n\r\n" + TWO, "Transfer-Encoding: chunked", "Content-Length: 4"),
    "chunks twice": post(b"0\r\n\r\n" + TWO, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunks that are not the last coding": post(b"0\r\n\r\n" + TWO, "Transfer-Encoding: chunked, identity"),
    "a coding that is none": post(b"0\r\n\r\n" + TWO, "Transfer-Encoding: xchunked"),
    "a space before the colon": post(b"0\r\n\r\n" + TWO, "Transfer-Encoding : chunked"),
    "a chunk whose size is none": post(b"zz\r\n{}\r\n0\r\n\r\n" + TWO, "Transfer-Encoding: chunked"),
    "a chunk whose size has a sign": post(b"+2\r\n{}\r\n0\r\n\r\n" + TWO, "Transfer-Encoding: chunked"),
    "a folded header": post(b"", "X-A: b", " Content-Length: 51"),
    "a NUL in a header": post(b"", "X-A: b\0c"),
    "lines that end in LF alone": PROBE.replace(b"\r\n", b"\n"),
    "the start of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 2,
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": PROBE.replace(b"1.1", b"9.9"),
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_read_in_none(sent: bytes, served: Served) -> None:
    """One refusal, and the server hangs up: what stands behind it is no request of its own."""
    heard = say(served, sent)
    assert len(heard.statuses) <= 1, heard.raw
    assert set(heard.statuses) <= {400, 501}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get", "QUERY", "PROPFIND"])
@pytest.mark.parametrize("path", ["/v1/admin/me", "/v1/runtime/snapshot", "/admin/login/"])
def test_no_method_is_taken_for_another(method: str, path: str, served: Served) -> None:
    heard = say(
        served, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Echo: secret\r\nConnection: close\r\n\r\n".encode()
    )
    assert set(heard.statuses) <= {400, 403, 404, 405, 501}
    assert b"secret" not in heard.raw


@pytest.mark.parametrize("wanted", ["websocket", "h2c"])
@pytest.mark.parametrize("path", ["/v1/admin/me", "/v1/runtime/stream", "/livez"])
def test_no_other_protocol_is_spoken(wanted: str, path: str, served: Served) -> None:
    keys = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHTTP2-Settings: AAMAAABk"
    upgrade = f"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: {wanted}\r\n{keys}"
    heard = say(served, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n\r\n".encode())
    assert heard.statuses == [200 if path == "/livez" else 401]
    assert b"101 " not in heard.raw.partition(b"\r\n")[0]


CUT = {
    "a body shorter than it says": post(b'{"email": "a@b.example", "password": "x"}', "Content-Length: 1000"),
    "chunks without a last one": post(
        b'29\r\n{"email": "a@b.example", "password": "x"}\r\n', "Transfer-Encoding: chunked"
    ),
    "a form shorter than it says": post(b"username=a&password=b", "Content-Length: 1000", path="/admin/login/").replace(
        b"application/json", b"application/x-www-form-urlencoded"
    ),
    "a form in parts without an end": post(
        b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\na\r\n',
        "Content-Length: 1000",
        path="/admin/login/",
    ).replace(b"application/json", b"multipart/form-data; boundary=x"),
}


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
def test_half_a_body_is_not_acted_on(sent: bytes, served: Served) -> None:
    """The client stops there and says so; it still listens. A login that was read would end in 503: there is no table."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received == b"" or b" 400 " in received.partition(b"\r\n")[0]


def test_a_bomb_is_not_unpacked(served: Served) -> None:
    """A gigabyte of nothing, in a megabyte."""
    bomb = b"\x1f\x8b\x08" + b"\0" * 1_000_000
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"):
        heard = say(served, post(bomb, f"Content-Length: {len(bomb)}", f"Content-Encoding: {coding}"))
        assert heard.statuses == [415]


def test_a_length_beyond_all_measure_is_refused_without_its_body(served: Served) -> None:
    heard = say(served, post(b"{}", "Content-Length: 99999999999999999999"))
    assert set(heard.statuses) <= {400, 413}
    assert heard.seconds < 3 * PATIENCE


def test_requests_sent_in_one_go_are_answered_in_their_order(served: Served) -> None:
    ask = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    paths = ["/livez", "/v1/nothing", "/v1/admin/me"]
    heard = say(served, "".join(map(ask.format, paths)).encode() + PROBE)
    assert heard.statuses == [200, 404, 401, 200]


def test_a_login_is_answered_at_the_address_that_was_asked_for(served: Served) -> None:
    """Whatever host the request line names, links are made from none that is not ours."""
    heard = say(
        served, f"GET http://evil.example{LOGIN} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode()
    )
    assert heard.statuses == [400]
    assert b"evil" not in heard.raw
