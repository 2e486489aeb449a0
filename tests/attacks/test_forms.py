"""Forms of the console as no browser sends them: too many fields, parts and files, too large, and not readable as forms."""

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts.models import User
from tests.console.people import at_console, everything, key_for

PAGES = ("/admin/login/", "/admin/pipelines/pipeline/new/", "/admin/accounts/user/new/")
FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def parts(*made: bytes) -> bytes:
    return b"".join(made) + b"--x--\r\n"


BODIES = {
    "thousands of fields": (FORM, b"&".join(b"field%d=1" % number for number in range(5000)), 400),
    "one field thousands of times": (FORM, b"name=1&" * 5000, 400),
    "thousands of parts": (PARTS, parts(*(part(f"field{number}", b"1") for number in range(5000))), 400),
    "hundreds of files": (PARTS, parts(*(part(f"f{number}", b"1", '; filename="f"') for number in range(500))), 400),
    "a large field": (FORM, b"name=" + b"x" * 3_000_000, 413),
    "a large part": (PARTS, parts(part("name", b"x" * 3_000_000)), 413),
    "a large file, and the form before it": (
        PARTS,
        parts(part("name", b"Shop"), part("type", b"web"), part("file", b"x" * 3_000_000, '; filename="f"')),
        413,
    ),
    "parts without a boundary": ("multipart/form-data", parts(part("name", b"Shop")), 400),
    "a NUL": (FORM, b"name=a%00b", 400),
    "a NUL in the name of a field": (FORM, b"na%00me=a", 400),
    "a charset that is none": ("application/x-www-form-urlencoded; charset=rot13", b"name=Shop", 400),
}


def pages() -> Iterator[tuple[str, str]]:
    yield from ((page, body) for page in PAGES for body in BODIES)


@pytest.mark.parametrize("debug", [False, True])
def test_what_no_form_of_ours_holds_is_refused_on_a_page_and_changes_nothing(
    debug: bool, admin_user: User, settings: LazySettings
) -> None:
    settings.DEBUG = debug
    client = at_console(admin_user)
    client.raise_request_exception = False
    before = everything()
    told = {}
    for page, name in pages():
        kind, body, expected = BODIES[name]
        answer = client.generic("POST", page, body, kind)
        if (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) not in (
            (expected, "text/html"),
            (expected, "text/plain"),
        ):
            told[page, name] = answer.status_code
    assert told == {}
    assert everything() == before


def test_bytes_that_are_no_text_are_refused_or_kept_as_a_mark(admin_user: User) -> None:
    """And never a fault of ours."""
    client, before = at_console(admin_user), everything()
    for value in (b"%ff%fe", b"%ed%a0%80", b"%F0%9F%98", b"\xff\xfe"):
        for page in PAGES:
            body = b"name=" + value + b"&email=" + value + b"&form_key=" + key_for(admin_user).encode()
            assert client.generic("POST", page, body, FORM).status_code < 500
    assert {table for table, rows in everything().items() if rows != before.get(table)} <= {
        "accounts_loginguard",
        "accounts_idempotentanswer",
        "accounts_auditentry",
        "pipelines_pipeline",
        "pipelines_configurationversion",
        "pipelines_configurationhead",
    }
