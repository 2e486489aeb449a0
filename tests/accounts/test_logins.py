"""Logging in over REST: what is answered, what is kept, and when an account is locked."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.contrib.auth.hashers import MD5PasswordHasher
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts import lockout
from accounts.errors import TooManyAttempts
from accounts.lockout import reserve_attempt
from accounts.models import AuditEntry, LoginGuard, RefreshToken, User
from accounts.sessions import log_in
from accounts.users import update_user
from tests.accounts.evidence import code_of, everything
from tests.accounts.threads import side_by_side, tally
from tests.clients import Api
from tests.factories import PASSWORD, actor_of

WRONG = {
    "error": {"code": "INVALID_CREDENTIALS", "message": "The email or the password is wrong.", "details": []},
}
LOCKED = {
    "error": {
        "code": "ACCOUNT_LOCKED",
        "message": "Too many failed logins for this account. Try again in 900 seconds.",
        "details": [],
    },
}


def attempt(api: Api, email: str, password: str) -> Any:
    return api.post("auth/login", {"email": email, "password": password})


def test_a_login_gives_a_pair_of_tokens_that_no_cache_keeps(nobody: Api, viewer_user: User) -> None:
    answer = attempt(nobody, viewer_user.email, PASSWORD)

    assert answer.status_code == 200
    body = answer.json()
    assert sorted(body) == ["access_token", "expires_in", "refresh_token", "token_type"]
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert answer["Cache-Control"] == "no-store"
    assert Api(body["access_token"]).get("me").json()["email"] == "viewer@acme.example"


def test_a_login_is_in_the_audit_log_and_neither_token_is_anywhere(nobody: Api, viewer_user: User) -> None:
    body = attempt(nobody, viewer_user.email, PASSWORD).json()

    entry = AuditEntry.objects.get(action="user.logged_in")
    assert (entry.actor_id, entry.resource_id, entry.resource_label) == (
        viewer_user.pk,
        viewer_user.pk,
        viewer_user.email,
    )
    assert (entry.ip_address, entry.changes) == ("127.0.0.1", {})
    assert entry.request_id.startswith("req_")
    kept = repr(everything())
    assert PASSWORD not in kept
    assert body["refresh_token"] not in kept
    assert body["access_token"] not in kept


@pytest.mark.parametrize("typed", ["Viewer@Acme.Example", "  viewer@acme.example ", "VIEWER@ACME.EXAMPLE"])
def test_an_email_is_read_as_people_type_it(nobody: Api, viewer_user: User, typed: str) -> None:
    assert attempt(nobody, typed, PASSWORD).status_code == 200


def test_a_wrong_password_an_unknown_email_and_a_disabled_user_are_answered_alike(
    nobody: Api, viewer_user: User, admin_user: User
) -> None:
    update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, disabled=True)
    tried = [(admin_user.email, "wrong"), ("unknown@acme.example", PASSWORD), (viewer_user.email, PASSWORD)]
    before = AuditEntry.objects.count()

    answers = [attempt(nobody, email, password) for email, password in tried]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, WRONG)] * 3
    assert all(answer["WWW-Authenticate"] == "Bearer" for answer in answers)
    assert (RefreshToken.objects.count(), AuditEntry.objects.count()) == (0, before)


def test_a_user_without_a_password_cannot_log_in(nobody: Api, viewer_user: User) -> None:
    viewer_user.set_password(None)
    viewer_user.save()
    assert attempt(nobody, viewer_user.email, "").status_code == 422
    assert attempt(nobody, viewer_user.email, PASSWORD).json() == WRONG


@pytest.mark.parametrize("email", ["viewer@acme.example", "unknown@acme.example", "disabled@acme.example"])
def test_an_unknown_email_takes_as_many_hashes_as_a_known_one(
    nobody: Api, viewer_user: User, editor_user: User, email: str
) -> None:
    User.objects.filter(pk=editor_user.pk).update(email="disabled@acme.example", is_active=False)
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        attempt(nobody, email, "wrong")
    assert encode.call_count == 1


def test_a_superuser_without_an_organisation_gets_no_tokens(nobody: Api) -> None:
    User.objects.create_superuser("Root@Example.com", "Root", PASSWORD)

    assert attempt(nobody, "root@example.com", PASSWORD).json() == WRONG
    assert RefreshToken.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "VALIDATION_ERROR", "email"),
        ({"email": "a@b.example"}, 422, "VALIDATION_ERROR", "password"),
        ({"email": None, "password": "x"}, 422, "VALIDATION_ERROR", "email"),
        ({"email": 7, "password": "x"}, 422, "VALIDATION_ERROR", "email"),
        ({"email": ["a"], "password": {}}, 422, "VALIDATION_ERROR", "email"),
        ({"email": "a" * 10_000, "password": "x"}, 422, "VALIDATION_ERROR", "email"),
        ({"email": "a@b.example", "password": "x" * 10_000}, 422, "VALIDATION_ERROR", "password"),
        ({"email": "a@b.example", "password": "x", "otp": "1"}, 400, "BAD_REQUEST", "otp"),
    ],
)
def test_a_body_that_is_no_login_is_refused_before_anything_is_counted(
    nobody: Api, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = nobody.post("auth/login", body)

    assert (answer.status_code, code_of(answer)) == (status, code)
    assert answer.json()["error"]["details"][0]["field"] == field
    assert LoginGuard.objects.count() == 0


@pytest.mark.parametrize("raw", [b'{"email": "a\\u0000@b.example", "password": "x"}', b'{"email": "a', b"[]", b"\xff"])
def test_a_body_that_cannot_be_read_is_refused(nobody: Api, raw: bytes) -> None:
    answer = nobody.send("POST", "auth/login", raw)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_REQUEST")


def test_after_five_wrong_guesses_the_right_password_is_refused_too_until_the_pause_is_over(
    nobody: Api, viewer_user: User
) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        guesses = [attempt(nobody, viewer_user.email, "wrong").status_code for _ in range(5)]
        locked = attempt(nobody, viewer_user.email, PASSWORD)
        clock.shift(899)
        still = attempt(nobody, viewer_user.email, PASSWORD)
        clock.shift(1)
        free = attempt(nobody, viewer_user.email, PASSWORD)

    assert guesses == [401] * 5
    assert (locked.status_code, locked["Retry-After"], locked.json()) == (401, "900", LOCKED)
    assert (still.status_code, still["Retry-After"]) == (401, "1")
    assert free.status_code == 200


def test_an_email_that_nobody_has_is_locked_just_the_same(nobody: Api) -> None:
    codes = [code_of(attempt(nobody, email, "wrong")) for email in ["x@acme.example", "X@acme.example "] * 3]
    assert codes == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]


def test_one_locked_account_locks_no_other(nobody: Api, viewer_user: User, editor_user: User) -> None:
    for _ in range(6):
        attempt(nobody, viewer_user.email, "wrong")
    assert attempt(nobody, editor_user.email, PASSWORD).status_code == 200


def test_a_right_password_starts_the_count_anew(nobody: Api, viewer_user: User) -> None:
    passwords = ["wrong"] * 4 + [PASSWORD] + ["wrong"] * 5 + [PASSWORD]
    statuses = [attempt(nobody, viewer_user.email, password) for password in passwords]
    assert [code_of(answer) if answer.status_code != 200 else "OK" for answer in statuses] == (
        ["INVALID_CREDENTIALS"] * 4 + ["OK"] + ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]
    )


def test_of_forty_guesses_made_side_by_side_exactly_five_are_looked_at(committed_db: str, settings: Settings) -> None:
    def guess(_: int) -> str:
        try:
            reserve_attempt("somebody@acme.example")
        except TooManyAttempts as refusal:
            return refusal.code
        return "looked at"

    assert settings.LOGIN_ATTEMPTS == 5
    assert tally(side_by_side(40, guess)) == {"looked at": 5, "ACCOUNT_LOCKED": 35}


def test_after_the_pause_again_exactly_five_of_many_guesses_are_looked_at(committed_db: str) -> None:
    def guess(_: int) -> bool:
        try:
            reserve_attempt("somebody@acme.example")
        except TooManyAttempts:
            return False
        return True

    side_by_side(8, guess)
    LoginGuard.objects.update(window_ends_at=timezone.now() - timedelta(seconds=1))
    assert sum(side_by_side(16, guess)) == 5


def test_guards_of_made_up_emails_do_not_pile_up(db: None) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        for number in range(20):
            reserve_attempt(f"{number}@acme.example")
        clock.shift(timedelta(minutes=16))
        reserve_attempt("one-more@acme.example")
    assert LoginGuard.objects.count() == 1


def test_the_sweep_leaves_guards_that_still_count(db: None) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        reserve_attempt("old@acme.example")
        clock.shift(timedelta(minutes=10))
        reserve_attempt("young@acme.example")
        clock.shift(timedelta(minutes=6))
        reserve_attempt("new@acme.example")
    assert LoginGuard.objects.count() == 2
    assert lockout.SWEEP == 100


def test_logging_in_clears_away_the_sessions_that_have_run_out(viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        log_in(email=viewer_user.email, password=PASSWORD)
        clock.shift(timedelta(days=15))
        log_in(email=viewer_user.email, password=PASSWORD)
    assert RefreshToken.objects.count() == 1


def test_a_login_takes_neither_dry_run_nor_any_other_method(nobody: Api, viewer_user: User) -> None:
    before = everything()
    dry = nobody.post("auth/login?dry_run=true", {"email": viewer_user.email, "password": PASSWORD})
    assert (dry.status_code, code_of(dry)) == (400, "BAD_REQUEST")
    assert [nobody.get("auth/login").status_code, nobody.delete("auth/login").status_code] == [405, 405]
    assert everything() == before
