"""What can go wrong before an endpoint is reached, and the one shape in which it is said."""

import threading
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.test import Client, RequestFactory

from accounts.models import User
from config.rest.requests import client_address, current_request_id
from tests.clients import Api
from tests.config.faults import SENSITIVE, failing, fault


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/admin",
        "/v1/admin/me/",
        "/v1/admin/pipelines/",
        "/v1/admin/pipelines//integrations",
    ],
)
def test_an_address_that_is_none_is_not_found(path: str, debug: bool, admin: Api, settings: LazySettings) -> None:
    settings.DEBUG = debug
    assert fault(admin.get(path)) == (404, "NOT_FOUND")
    assert fault(admin.post(path)) == (404, "NOT_FOUND")


def test_addresses_for_people_keep_their_own_pages(db: None) -> None:
    for path in ("/nothing", "/v1nothing", "/v10/admin"):
        answer = Client().get(path)
        assert answer.status_code == 404
        assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_method_that_an_address_does_not_take_is_refused_to_everybody(method: str, cast: dict[str, Api]) -> None:
    for api in cast.values():
        answer = api.send(method, "users", b"{}")
        assert fault(answer) == (405, "METHOD_NOT_ALLOWED")
        assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_revisions_can_be_neither_changed_nor_deleted(admin: Api) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        answer = admin.send(method, "integration-templates/tmpl_x/revisions/1", b"{}")
        assert (*fault(answer), answer["Allow"]) == (405, "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS")


def test_options_tells_what_an_address_takes(viewer: Api, nobody: Api) -> None:
    for path, allowed in (
        ("pipelines", "GET, POST, HEAD, OPTIONS"),
        ("pipelines/pip_none/integrations/pi_none", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("me", "GET, HEAD, OPTIONS"),
    ):
        answer = viewer.client.options(f"/v1/admin/{path}")
        assert (answer.status_code, answer.content, answer["Allow"]) == (204, b"", allowed)
    assert nobody.client.options("/v1/admin/auth/login")["Allow"] == "POST, OPTIONS"


def test_head_answers_like_get_without_the_body(viewer: Api, viewer_user: User) -> None:
    for path in ("me", "pipelines", "integration-catalog/ga4"):
        asked, got = viewer.client.head(f"/v1/admin/{path}"), viewer.get(path)
        assert (asked.status_code, asked.content) == (200, b"")
        assert asked["Content-Type"] == got["Content-Type"]


QUERIES = {
    "limit=0": ("limit", "out_of_range"),
    "limit=101": ("limit", "out_of_range"),
    "limit=00000000150": ("limit", "out_of_range"),
    "limit=-1": ("limit", "out_of_range"),
    "limit=ten": ("limit", "out_of_range"),
    "limit=²": ("limit", "out_of_range"),
    "limit=%F0%9F%98%80": ("limit", "out_of_range"),
    "limit=": ("limit", "empty"),
    "limit=1&limit=2": ("limit", "repeated"),
    "cursor=x": ("cursor", "invalid_cursor"),
    "cursor=": ("cursor", "empty"),
    "cursor=%ED%A0%80": ("cursor", "invalid_cursor"),
    "lable=a:b": ("lable", "unknown_filter"),
    "dry_run=true": ("dry_run", "unknown_filter"),
    "page=2": ("page", "unknown_filter"),
    "label=a": ("label", "invalid"),
    "enabled=yes": ("enabled", "not_a_flag"),
    "enabled=true&enabled=true": ("enabled", "repeated"),
    "type=web&type=app": ("type", "repeated"),
    "type=desktop": ("type", "invalid_choice"),
    "q=": ("q", "empty"),
    "%ff=1": ("\ufffd", "unknown_filter"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_cannot_be_meant_is_refused(query: str, viewer: Api) -> None:
    answer = viewer.get(f"pipelines?{query}")
    assert fault(answer) == (400, "BAD_REQUEST")
    assert [(detail["field"], detail["code"]) for detail in answer.json()["error"]["details"]] == [QUERIES[query]]


def test_a_parameter_where_there_is_none_to_take_is_refused_too(viewer: Api) -> None:
    for path in (
        "me?verbose=1",
        "integration-catalog?limit=5",
        "pipelines/pip_none?fields=id",
        "pipelines/pip_none/config?vresion=3",
    ):
        assert fault(viewer.get(path)) == (400, "BAD_REQUEST")


def test_a_label_may_be_asked_for_more_than_once(viewer: Api) -> None:
    assert viewer.get("pipelines?label=a:b&label=c:d").json()["pipelines"] == []


@pytest.mark.parametrize("address", ["pipelines/a%00b", "pipelines?q=a%00b", "pipelines?%00=1", "%00"])
def test_an_address_with_a_nul_is_refused(address: str, viewer: Api) -> None:
    answer = viewer.get(f"/v1/admin/{address}")
    assert fault(answer) == (400, "BAD_REQUEST")
    assert answer.json()["error"]["message"] == "The address holds a NUL character. Take it out."
    assert Client().get("/admin/login/?next=%00").status_code == 400


@pytest.mark.parametrize(
    "address", ["pipelines/%", "pipelines/%zz", "pipelines/%ff", "pipelines/%ed%a0%80", "pipelines/%F0%9F%98%80"]
)
def test_broken_percent_signs_name_nothing(address: str, viewer: Api) -> None:
    assert fault(viewer.get(address)) == (404, "NOT_FOUND")
    assert viewer.get("pipelines?q=%ff%zz%").status_code == 200


@pytest.mark.parametrize("debug", [False, True])
def test_a_host_that_is_not_ours_is_refused_in_the_same_shape(debug: bool, nobody: Api, settings: LazySettings) -> None:
    settings.DEBUG = debug
    answer = nobody.client.get("/v1/admin/me", headers={"Host": "evil.example"})
    assert fault(answer) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_of_ours_tells_an_id_and_nothing_else(
    debug: bool, editor: Api, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = debug
    answer = failing(editor, monkeypatch, RuntimeError(SENSITIVE), "a-request-of-mine")
    assert (answer.status_code, answer["X-Request-ID"]) == (500, "a-request-of-mine")
    message = "Something went wrong here. Report this request id: a-request-of-mine."
    assert answer.json() == {"error": {"code": "INTERNAL_ERROR", "message": message, "details": []}}


@pytest.mark.parametrize(
    ("error", "expected", "waits"),
    [
        (OperationalError("database is locked"), (503, "UNAVAILABLE"), "1"),
        (InterfaceError("connection already closed"), (503, "UNAVAILABLE"), "1"),
        (IntegrityError("a rule"), (409, "CONFLICT"), None),
        (DataError("integer out of range"), (400, "BAD_REQUEST"), None),
        (OverflowError("Python int too large"), (400, "BAD_REQUEST"), None),
    ],
)
def test_what_the_database_refuses_has_an_answer_of_its_own(
    error: Exception, expected: tuple[int, str], waits: str | None, editor: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("", "a key"):
        answer = failing(editor, monkeypatch, error, "some-request", **({"Idempotency_Key": key} if key else {}))
        assert fault(answer) == expected
        assert answer.get("Retry-After") == waits


def test_a_database_that_is_gone_before_the_endpoint_is_reached_is_503_too(
    editor: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("config.rest.writes.reserve", gone)
    answer = editor.post("pipelines", {"name": "x"}, Idempotency_Key="one")
    assert (*fault(answer), answer["Retry-After"]) == (503, "UNAVAILABLE", "1")


def test_every_answer_names_its_request(viewer: Api, nobody: Api) -> None:
    for api, path in (
        (viewer, "me"),
        (nobody, "me"),
        (nobody, "/v1/nothing"),
        (nobody, "/nothing"),
        (nobody, "/livez"),
    ):
        made = api.get(path)["X-Request-ID"]
        assert made.startswith("req_")
        assert api.get(path)["X-Request-ID"] != made
        assert api.get(path, X_Request_ID="from-the-proxy.1")["X-Request-ID"] == "from-the-proxy.1"


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with blank in it", "a;b=c-or-more", "zeilen\\numbruch", "übermäßig"]
)
def test_an_id_that_could_do_harm_in_a_log_is_not_taken_over(given: str, nobody: Api) -> None:
    assert nobody.get("/livez", X_Request_ID=given)["X-Request-ID"].startswith("req_")


def test_the_id_of_a_request_is_not_that_of_the_next_work_of_its_thread(nobody: Api) -> None:
    nobody.get("/livez", X_Request_ID="the-first-one")
    assert current_request_id.get() == ""


def test_requests_side_by_side_keep_their_ids_apart(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(4)
    seen: dict[str, str] = {}

    def see(request: Any) -> None:
        together.wait(10)
        seen[request.META["HTTP_X_REQUEST_ID"]] = current_request_id.get()
        together.wait(10)

    monkeypatch.setattr("config.rest.bodies._unreadable", see)
    ids = [f"request-{number}" for number in range(4)]
    threads = [threading.Thread(target=Api().get, args=["/livez"], kwargs={"X_Request_ID": one}) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {one: one for one in ids}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "expected"),
    [
        (0, "6.6.6.6", "10.0.0.1", "10.0.0.1"),
        (1, "6.6.6.6, 1.2.3.4", "10.0.0.1", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.2", "10.0.0.1", "1.2.3.4"),
        (1, "1.2.3.4", "10.0.0.1", "1.2.3.4"),
        (1, "", "10.0.0.1", "10.0.0.1"),
        (1, "6.6.6.6, not an address", "10.0.0.1", None),
        (1, " , ,1.2.3.4 ", "10.0.0.1", "1.2.3.4"),
        (0, "", "::ffff:1.2.3.4", "1.2.3.4"),
        (0, "", "fe80::1%eth0", "fe80::1"),
        (0, "", "2001:DB8::1", "2001:db8::1"),
        (0, "", "", None),
    ],
)
def test_the_address_of_a_client_is_what_our_own_proxy_saw(
    proxies: int, forwarded: str, remote: str, expected: str | None, settings: LazySettings
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)) == expected


def test_an_address_with_more_parameters_than_anyone_needs_is_refused(viewer: Api) -> None:
    assert fault(viewer.get("pipelines?" + "&".join(f"a{number}=1" for number in range(2000)))) == (400, "BAD_REQUEST")
