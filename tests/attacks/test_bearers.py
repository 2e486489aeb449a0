"""Bearers that were forged, altered or taken from elsewhere, at all three doors that take one: REST, feed and metrics.

`tests/accounts/test_bearers.py` has more of them, which are tried here again where Django does not see the request.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from accounts.credentials import access_token
from accounts.models import Organisation, User
from accounts.roles import Role
from accounts.sessions import log_in
from accounts.tokens import revoke_token
from accounts.users import update_user
from tests.accounts.test_bearers import FORGED, assembled, claims, signing_key
from tests.clients import Api
from tests.config.servers import Served, serving
from tests.conftest import token
from tests.factories import PASSWORD, actor_of, system

METRICS_TOKEN = "a-token-for-metrics-and-nothing-else"
DOORS = ("/v1/admin/me", "/v1/runtime/snapshot", "/v1/runtime/pipelines/pip_nothing", "/metrics")
NONE = ("none", "None", "NONE", "nOnE", "none ", "", "null", "HS256none")
OWN_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OWN_EC = ec.generate_private_key(ec.SECP256R1())

Forge = Callable[[User], str]


def public(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def unsigned(algorithm: str, user: User) -> str:
    return assembled(json.dumps({"alg": algorithm, "typ": "JWT"}), claims(user))


def headed(user: User, **header: Any) -> str:
    """A token that says this in its header, signed with a key of the attacker's own."""
    return assembled(json.dumps({"alg": "HS256", "typ": "JWT", **header}), claims(user), b"the attacker's own key")


def altered(user: User, **claim: Any) -> str:
    """A good token with another payload and the signature that it had."""
    head, payload, signature = access_token(user).split(".")
    said = json.loads(urlsafe_b64decode(payload + "=="))
    changed = urlsafe_b64encode(json.dumps({**said, **claim}).encode()).rstrip(b"=").decode()
    return f"{head}.{changed}.{signature}"


ATTACKS: dict[str, Forge] = {
    "RS256 with a key of one's own": lambda user: jwt.encode(claims(user), OWN_RSA, algorithm="RS256"),
    "ES256 with a key of one's own": lambda user: jwt.encode(claims(user), OWN_EC, algorithm="ES256"),
    "a public RSA key as the secret": lambda user: assembled('{"alg": "HS256"}', claims(user), public(OWN_RSA)),
    "a public key of a curve as the secret": lambda user: assembled('{"alg": "HS256"}', claims(user), public(OWN_EC)),
    "no key at all": lambda user: assembled('{"alg": "HS256"}', claims(user), b"\0"),
    "a key named by its path": lambda user: headed(user, kid="../../../../dev/null"),
    "a key named in SQL": lambda user: headed(user, kid="x' UNION SELECT 'the attacker''s own key"),
    "a key that it brings along": lambda user: headed(user, jwk={"kty": "oct", "k": "dGhlIGF0dGFja2Vy"}),
    "a key at an address": lambda user: headed(user, jku="https://evil.example/keys", x5u="https://evil.example/x"),
    "a critical header that nobody knows": lambda user: assembled(
        '{"alg": "HS256", "crit": ["exp"], "exp": 1}', claims(user), signing_key()
    ),
    "a payload that is not encoded": lambda user: assembled(
        '{"alg": "HS256", "b64": false, "crit": ["b64"]}', claims(user), signing_key()
    ),
    "two algorithms, the good one first": lambda user: assembled('{"alg": "HS256", "alg": "none"}', claims(user)),
    "two algorithms, the good one last": lambda user: assembled('{"alg": "none", "alg": "HS256"}', claims(user)),
    "a header of a megabyte": lambda user: headed(user, kid="x" * 20_000),
    "another user": lambda user: altered(user, sub="usr_0000000000000000"),
    "a later end": lambda user: altered(user, exp=4_000_000_000),
    "a role": lambda user: altered(user, role="admin"),
    "no time to begin with": lambda user: altered(user, nbf=4_000_000_000),
    "a token that is encrypted": lambda _: "e30.e30.e30.e30.e30",
    "five thousand dots": lambda _: "." * 5000,
    "a refresh token": lambda user: log_in(email=user.email, password=PASSWORD).refresh_token,
}
ATTACKS |= {f"the algorithm {name!r}, unsigned": partial(unsigned, name) for name in NONE}


@pytest.fixture
def served(committed_db: str, tmp_path: Path) -> Generator[Served]:
    with serving(committed_db, tmp_path, METRICS_TOKEN=METRICS_TOKEN) as server:
        yield server


def answer(served: Served, path: str, authorization: bytes) -> tuple[int, str]:
    """Status and code. On a busy machine the feed may say for a moment that it cannot be sure of what it has."""
    for _ in range(20):
        said = _answer(served, path, authorization)
        if said[0] != 503:
            return said
        sleep(0.5)
    raise AssertionError(f"{path} stayed unavailable.")


def _answer(served: Served, path: str, authorization: bytes) -> tuple[int, str]:
    with closing(served.connection()) as connection:
        connection.putrequest("GET", path)
        connection.putheader("Authorization", authorization)
        connection.endheaders()
        said = connection.getresponse()
        raw = said.read()
        return said.status, json.loads(raw)["error"]["code"] if said.status >= 400 else ""


def test_no_forged_bearer_opens_any_door(served: Served, admin_user: User) -> None:
    made = {name: forge(admin_user) for name, forge in {**FORGED, **ATTACKS}.items()}
    opened = {
        (name, door): said
        for name, bearer in made.items()
        for door in DOORS
        if (said := answer(served, door, f"Bearer {bearer}".encode("latin-1"))) != (401, "INVALID_TOKEN")
    }
    assert opened == {}


def test_bytes_that_are_no_text_are_no_bearer(served: Served, admin_user: User) -> None:
    good = access_token(admin_user).encode()
    for bearer in (
        b"\xff\xfe\x80",
        good + b"\xff",
        b"\xc3\xa9" * 100,
        b"pinion_" + b"\xe9" * 43,
        b"a b c",
        good + b" x",
    ):
        for door in DOORS:
            assert answer(served, door, b"Bearer " + bearer)[0] == 401, (bearer, door)


def test_each_door_takes_its_own_bearer_and_no_other(
    served: Served, admin_user: User, organisation: Organisation
) -> None:
    bearers = {
        "a login": access_token(admin_user),
        "an API token": token(organisation, Role.ADMIN)[1],
        "a processor": token(organisation, Role.PROCESSOR)[1],
        "metrics": METRICS_TOKEN,
    }
    doors = ("/v1/admin/users", "/v1/runtime/snapshot", "/metrics")
    assert {
        name: [answer(served, door, f"Bearer {one}".encode())[0] for door in doors] for name, one in bearers.items()
    } == {
        "a login": [200, 403, 401],
        "an API token": [200, 403, 401],
        "a processor": [403, 200, 401],
        "metrics": [401, 401, 200],
    }


def test_who_is_gone_or_demoted_is_so_with_the_next_request_at_every_door(
    served: Served, admin_user: User, editor_user: User, viewer_user: User, organisation: Organisation
) -> None:
    """Role and person are read anew: nothing of them stands in the token."""
    users, me = "/v1/admin/users", "/v1/admin/me"
    editor, viewer = (f"Bearer {access_token(user)}".encode() for user in (editor_user, viewer_user))
    api_token, secret = token(organisation, Role.ADMIN)
    assert answer(served, users, editor)[0] == 403
    update_user(actor=actor_of(admin_user), user_id=editor_user.pk, role=Role.ADMIN)
    assert answer(served, users, editor)[0] == 200
    update_user(actor=actor_of(admin_user), user_id=editor_user.pk, role=Role.VIEWER)
    assert answer(served, users, editor)[0] == 403
    User.objects.filter(pk=viewer_user.pk).delete()
    assert answer(served, me, viewer) == (401, "INVALID_TOKEN")
    assert answer(served, users, f"Bearer {secret}".encode())[0] == 200
    revoke_token(actor=system(organisation), token_id=api_token.pk)
    assert answer(served, users, f"Bearer {secret}".encode()) == (401, "INVALID_TOKEN")


def test_a_bearer_in_two_headers_or_elsewhere_than_in_its_header_opens_nothing(admin_user: User) -> None:
    good = access_token(admin_user)
    for path in (f"me?access_token={good}", f"me?token={good}", f"me?authorization=Bearer+{good}"):
        assert Api().get(path).status_code == 401
    assert Api().get("me", Cookie=f"access_token={good}", X_Authorization=f"Bearer {good}").status_code == 401
    assert Api().get("me", Authorization=f"Bearer x,Bearer {good}").status_code == 401
    assert Api().post("auth/refresh", {"refresh_token": good}).json()["error"]["code"] == "INVALID_REFRESH_TOKEN"
