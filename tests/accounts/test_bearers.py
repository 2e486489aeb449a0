"""Bearers: the access token of a login and the API token of a program, forged, stale, foreign and right."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings as configured
from django.utils import timezone
from django.utils.crypto import salted_hmac
from pytest_django.fixtures import Settings

from accounts.credentials import access_token
from accounts.models import ApiToken, Organisation, User
from accounts.roles import Role
from accounts.sessions import log_in
from accounts.tokens import issue_token, revoke_token
from accounts.users import update_user
from tests.accounts.evidence import code_of
from tests.clients import Api
from tests.factories import PASSWORD, actor_of, system
from tests.queries import count_queries

NOT_VALID = "This token is not valid. Log in again, or ask an admin of your organisation for a new token."


def signing_key(secret: str = "") -> bytes:
    return salted_hmac("pinion.access-token", "", secret or configured.SECRET_KEY, algorithm="sha256").digest()


def claims(user: User, **changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"sub": user.pk, "iat": now, "exp": now + timedelta(minutes=5), "use": "access", **changed}


def without(name: str, user: User) -> dict[str, Any]:
    return {key: value for key, value in claims(user).items() if key != name}


def assembled(header: str, payload: dict[str, Any], key: bytes = b"") -> str:
    """A token put together by hand, signed with HMAC whatever its header says."""
    parts = [header.encode(), json.dumps(payload, default=lambda moment: int(moment.timestamp())).encode()]
    signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = digest(key, signed, sha256) if key else b""
    return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()


FORGED: dict[str, Callable[[User], str]] = {
    "the algorithm none": lambda user: assembled('{"alg": "none", "typ": "JWT"}', claims(user)),
    "the algorithm None, signed": lambda user: assembled('{"alg": "None"}', claims(user), signing_key()),
    "RS256, signed with our key as if it were public": lambda user: assembled(
        '{"alg": "RS256"}', claims(user), signing_key()
    ),
    "HS512 with our key": lambda user: jwt.encode(claims(user), signing_key() * 2, algorithm="HS512"),
    "another key": lambda user: jwt.encode(claims(user), signing_key("another secret key"), algorithm="HS256"),
    "the bare SECRET_KEY": lambda user: jwt.encode(claims(user), configured.SECRET_KEY, algorithm="HS256"),
    "no user": lambda user: jwt.encode(without("sub", user), signing_key(), algorithm="HS256"),
    "no end": lambda user: jwt.encode(without("exp", user), signing_key(), algorithm="HS256"),
    "another use": lambda user: jwt.encode(claims(user, use="refresh"), signing_key(), algorithm="HS256"),
    "no use": lambda user: jwt.encode(without("use", user), signing_key(), algorithm="HS256"),
    "an unknown user": lambda user: jwt.encode(claims(user, sub="usr_unknown"), signing_key(), algorithm="HS256"),
    "a user who is a number": lambda user: jwt.encode(claims(user, sub=7), signing_key(), algorithm="HS256"),
    "a changed user": lambda user: access_token(user).replace(".", ".e30", 1),
    "no signature": lambda user: access_token(user).rpartition(".")[0] + ".",
    "a header of a thousand brackets": lambda user: assembled("[" * 5000, claims(user)),
    "a header that is a list": lambda user: assembled("[]", claims(user)),
    "a header with a number of five thousand digits": lambda user: assembled(f'{{"alg": {"9" * 5000}}}', claims(user)),
    "a refresh token": lambda user: log_in(email=user.email, password=PASSWORD).refresh_token,
    "dots": lambda _: "..",
    "not ASCII": lambda _: "é.é.é",
    "an API token that nobody made": lambda _: "pinion_" + "A" * 43,
    "the hash of an API token": lambda _: "pinion_" + sha256(b"x").hexdigest(),
    "the mark of API tokens alone": lambda _: "pinion_",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_a_forged_bearer_is_refused(viewer_user: User, forged: Callable[[User], str]) -> None:
    answer = Api(forged(viewer_user)).get("me")
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": "INVALID_TOKEN", "message": NOT_VALID, "details": []}}
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "Token abc", "bearer\tabc"])
def test_a_header_without_a_bearer_says_what_to_send(viewer_user: User, header: str) -> None:
    answer = Api().get("me", Authorization=header)
    assert (answer.status_code, code_of(answer)) == (401, "INVALID_TOKEN")
    assert answer.json()["error"]["message"].startswith("Credentials are missing. Send the header")


def test_the_name_of_the_scheme_is_read_in_any_case(viewer_user: User) -> None:
    bearer = access_token(viewer_user)
    assert [Api().get("me", Authorization=f"{name} {bearer}").status_code for name in ("bearer", "BEARER")] == [
        200,
        200,
    ]


def test_an_access_token_is_good_for_fifteen_minutes(viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        api = Api(access_token(viewer_user))
        clock.shift(899)
        assert api.get("me").status_code == 200
        clock.shift(1)
        late = api.get("me")
    assert (late.status_code, late.json()["error"]) == (
        401,
        {
            "code": "EXPIRED_TOKEN",
            "message": "This access token has expired. Refresh it at /v1/admin/auth/refresh, or log in again.",
            "details": [],
        },
    )


def test_an_expired_token_of_another_key_is_not_called_expired(viewer_user: User) -> None:
    stale = claims(viewer_user, exp=datetime(2020, 1, 1, tzinfo=UTC))
    assert code_of(Api(jwt.encode(stale, signing_key("other"), algorithm="HS256")).get("me")) == "INVALID_TOKEN"


def test_a_machine_whose_clock_is_behind_believes_a_fresh_token(viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:05Z", tick=False):
        api = Api(access_token(viewer_user))
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False):
        assert api.get("me").status_code == 200


def test_a_retired_signing_key_is_believed_while_it_is_listed(viewer_user: User, settings: Settings) -> None:
    api = Api(access_token(viewer_user))
    old, settings.SECRET_KEY = settings.SECRET_KEY, "the key that came after it"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert api.get("me").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert code_of(api.get("me")) == "INVALID_TOKEN"


def test_a_disabled_user_is_out_with_the_next_request(viewer: Api, viewer_user: User, admin_user: User) -> None:
    assert viewer.get("me").status_code == 200
    update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, disabled=True)
    answer = viewer.get("me")
    assert (answer.status_code, code_of(answer)) == (401, "INVALID_TOKEN")


def test_a_changed_role_counts_from_the_next_request(editor: Api, editor_user: User, admin_user: User) -> None:
    assert editor.get("users").status_code == 403
    update_user(actor=actor_of(admin_user), user_id=editor_user.pk, role=Role.ADMIN)
    assert editor.get("users").status_code == 200
    update_user(actor=actor_of(admin_user), user_id=editor_user.pk, role=Role.VIEWER)
    assert editor.get("users").status_code == 403


def test_a_superuser_without_an_organisation_acts_in_none(db: None) -> None:
    root = User.objects.create_superuser("root@example.com", "Root", PASSWORD)
    answer = Api(access_token(root)).get("me")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        401,
        "This user belongs to no organisation and can only use the console.",
    )


def test_me_is_who_logged_in(editor: Api, editor_user: User, organisation: Organisation) -> None:
    assert editor.get("me").json() == {
        "id": editor_user.pk,
        "type": "user",
        "email": "editor@acme.example",
        "name": "Somebody",
        "role": "editor",
        "organisation": {"id": organisation.pk, "name": "Acme"},
    }


def test_me_is_the_token_where_a_program_asks(organisation: Organisation) -> None:
    token, secret = issue_token(actor=system(organisation), name="Nightly job", scope=Role.VIEWER)
    assert Api(secret).get("me").json() == {
        "id": token.pk,
        "type": "token",
        "email": None,
        "name": "Nightly job",
        "role": "viewer",
        "organisation": {"id": organisation.pk, "name": "Acme"},
    }


def test_a_processor_reads_nothing_here_not_even_who_it_is(processor: Api) -> None:
    answer = processor.get("me")
    assert (answer.status_code, code_of(answer)) == (403, "FORBIDDEN")


def test_asking_who_one_is_takes_two_statements(viewer: Api) -> None:
    with count_queries() as queries:
        viewer.get("me")
    assert len(queries) == 2, str(queries)


@pytest.mark.parametrize(
    ("scope", "reads_pipelines", "creates_pipelines", "reads_users"),
    [("viewer", 200, 403, 403), ("editor", 200, 201, 403), ("admin", 200, 201, 200), ("processor", 403, 403, 403)],
)
def test_a_token_may_what_its_scope_may(
    organisation: Organisation, scope: str, reads_pipelines: int, creates_pipelines: int, reads_users: int
) -> None:
    _, secret = issue_token(actor=system(organisation), name="Program", scope=Role(scope))
    api = Api(secret)
    assert [
        api.get("pipelines").status_code,
        api.post("pipelines", {"name": "New"}).status_code,
        api.get("users").status_code,
    ] == [reads_pipelines, creates_pipelines, reads_users]


def test_a_token_is_good_until_it_expires(organisation: Organisation) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        expires_at = timezone.now() + timedelta(days=1)
        _, secret = issue_token(actor=system(organisation), name="Program", scope=Role.VIEWER, expires_at=expires_at)
        api = Api(secret)
        clock.shift(86_399)
        assert api.get("me").status_code == 200
        clock.shift(1)
        late = api.get("me")
    assert (late.status_code, late.json()["error"]) == (
        401,
        {
            "code": "EXPIRED_TOKEN",
            "message": "This token has expired. Ask an admin of your organisation for a new one.",
            "details": [],
        },
    )


def test_a_revoked_token_is_refused_from_the_next_request_on(organisation: Organisation) -> None:
    token, secret = issue_token(actor=system(organisation), name="Program", scope=Role.VIEWER)
    api = Api(secret)
    assert api.get("me").status_code == 200
    revoke_token(actor=system(organisation), token_id=token.pk)
    answer = api.get("me")
    assert (answer.status_code, code_of(answer)) == (401, "INVALID_TOKEN")


def test_a_token_is_kept_as_a_hash_and_its_last_four_characters(organisation: Organisation) -> None:
    token, secret = issue_token(actor=system(organisation), name="Program", scope=Role.VIEWER)
    kept = ApiToken.objects.values().get(pk=token.pk)
    assert kept["token_hash"] == sha256(secret.encode()).hexdigest()
    assert secret not in repr(kept)
    assert (secret[:7], len(secret), kept["hint"]) == ("pinion_", 50, secret[-4:])
