"""Over a real socket, behind each of the two servers: what no test client can send, and what one never sees."""

import json
import socket
from collections.abc import Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.config.servers import COMMANDS, Served, serving

LOGIN = "/v1/admin/auth/login"
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": "Bearer pinion_a-token-that-nobody-may-read"}
LARGE = b'{"email": "' + b"x" * 10_000_000 + b'"}'


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    """One that has a database without a table in it, which these requests never reach."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with serving(f"sqlite:///{folder / 'empty.sqlite3'}", folder, request.param) as server:
        yield server


def ask(served: Served, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and what is in the JSON."""
    with closing(served.connection()) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, answer.headers, json.loads(raw) if raw else None


def said(served: Served, raw: bytes) -> tuple[int, dict[str, Any]]:
    """The answer to these very bytes."""
    with socket.create_connection(("localhost", served.port), timeout=30) as connection:
        connection.sendall(raw)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def code(answer: tuple[int, Any, Any]) -> tuple[int, str]:
    return answer[0], answer[2]["error"]["code"]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
def test_a_body_of_10_mb_is_refused(headers: dict[str, str], served: Served) -> None:
    assert code(ask(served, "POST", LOGIN, LARGE, **JSON, **headers)) == (413, "TOO_LARGE")


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
def test_a_body_of_10_mb_in_pieces_without_a_length_is_refused(headers: dict[str, str], served: Served) -> None:
    pieces = (LARGE[start : start + 50_000] for start in range(0, len(LARGE), 50_000))
    assert code(ask(served, "POST", LOGIN, pieces, **JSON, **headers)) == (413, "TOO_LARGE")


def test_a_body_in_pieces_without_a_length_is_read(served: Served) -> None:
    answer = ask(served, "POST", LOGIN, iter([b'{"em', b'ial": 1}']), **JSON)
    assert code(answer) == (400, "BAD_REQUEST")
    assert answer[2]["error"]["message"] == "There is no field named 'emial'. Did you mean email?"


def test_a_body_that_says_it_is_compressed_is_refused(served: Served) -> None:
    assert code(ask(served, "POST", LOGIN, b"\x1f\x8b", **JSON, Content_Encoding="gzip")) == (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )


def test_a_charset_that_is_none_is_refused(served: Served) -> None:
    for charset in ("rot13", "hex", "utf-16", "nonsense", '"latin-1"'):
        answer = ask(served, "GET", "/v1/admin/me?a=b", Content_Type=f"application/json; charset={charset}")
        assert code(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")
    for charset in ("utf-8", "UTF8", '"utf-8"'):
        assert ask(served, "GET", "/v1/admin/me", Content_Type=f"application/json; charset={charset}")[0] == 401


@pytest.mark.parametrize("target", [b"/v1/nothing?q=%ff%zz%", b"/v1/%ff/%zz/%", b"/v1/%ed%a0%80", b"/v1//nothing"])
def test_an_address_with_broken_bytes_is_not_found(target: bytes, served: Served) -> None:
    status, body = said(served, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")


def test_an_address_with_a_nul_is_refused(served: Served) -> None:
    for path in ("/v1/a%00b", "/v1/admin/me?a=%00"):
        assert code(ask(served, "GET", path)) == (400, "BAD_REQUEST")


def test_a_body_that_ends_too_early_harms_nobody(served: Served) -> None:
    with socket.create_connection(("localhost", served.port), timeout=30) as connection:
        connection.sendall(f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert ask(served, "GET", "/livez")[0] == 200


def test_a_body_that_ends_too_early_uses_up_no_idempotency_key(served: Served) -> None:
    """Half a body under a key would be another request than the whole one, which its sender sends again under that key."""
    head = "POST /v1/admin/pipelines HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    with socket.create_connection(("localhost", served.port), timeout=30) as connection:
        connection.sendall(f'{head}Idempotency-Key: one\r\nConnection: close\r\n\r\n{{"name"'.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(partial(connection.recv, 65536), b""))  # of uvicorn none: it takes the client for gone
    assert answer == b"" or (
        answer.startswith(b"HTTP/1.1 400 ") and b"The body ended before all of it was here." in answer
    )


def test_an_answer_to_head_has_no_body(served: Served) -> None:
    status, headers, body = ask(served, "HEAD", "/livez")
    assert (status, headers["Content-Length"], body) == (200, "15", None)


def test_a_form_that_people_use_is_not_asked_for_where_programs_come(served: Served) -> None:
    for path, allowed in (
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/v1/openapi.json", "GET, HEAD"),
        ("/v1/docs", "GET, HEAD, OPTIONS"),
    ):
        answer = ask(served, "POST", path, b"{}", **JSON)
        assert (*code(answer), answer[1]["Allow"]) == (405, "METHOD_NOT_ALLOWED", allowed)


def test_a_database_without_its_tables_is_503_and_not_a_fault(served: Served) -> None:
    answer = ask(served, "GET", "/v1/admin/me", **BEARER)
    assert (*code(answer), answer[1]["Retry-After"]) == (503, "UNAVAILABLE", "1")
    assert ask(served, "GET", "/readyz")[::2] == (
        503,
        {"status": "unavailable", "database": "migrations pending", "key_ring": "ok", "secrets": "unknown"},
    )
    assert ask(served, "GET", "/livez")[::2] == (200, {"status": "ok"})


def test_the_log_holds_lines_of_json_and_no_token(served: Served) -> None:
    ask(served, "GET", "/v1/admin/me", **BEARER, X_Request_ID="to-be-found-in-the-log")
    lines = [line for line in served.log.read_text().splitlines() if line.startswith("{")]
    assert any(json.loads(line).get("request_id") == "to-be-found-in-the-log" for line in lines)
    assert BEARER["Authorization"] not in served.log.read_text()
