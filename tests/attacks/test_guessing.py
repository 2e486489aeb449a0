"""Guessing passwords: what the time and the work of a login tell, and how far many guesses at once come, at both doors."""

import json
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import LoginGuard, Organisation, User
from accounts.roles import Role
from accounts.sessions import log_in
from tests.accounts.threads import side_by_side, tally
from tests.attacks.organisations import MADE
from tests.clients import Api
from tests.config.servers import COMMANDS, Served, serving
from tests.conftest import user
from tests.factories import PASSWORD
from tests.queries import count_queries

WRONG = "a wrong password"
PEOPLE = ("known", "unknown", "disabled", "without a password", "superuser", "of another organisation")
ROUNDS = 15
GUESSES = 24  # at each of two servers
RATIO = 1.5  # without the same work it is 5 and more


class Slower(PBKDF2PasswordHasher):
    """The real one, with less work than in earnest, and still far more than all else in a login."""

    iterations = 20_000


def rest(email: str, password: str) -> Any:
    return Api().post("auth/login", {"email": email, "password": password})


def console(email: str, password: str) -> Any:
    return Client().post("/admin/login/", {"username": email, "password": password})


DOORS: dict[str, Callable[[str, str], Any]] = {"REST": rest, "console": console}


def emails(organisation: Organisation, other: Organisation) -> dict[str, str]:
    """Somebody of each kind."""
    found = {name: f"{name.replace(' ', '-')}@acme.example" for name in PEOPLE}
    for name in ("known", "disabled", "without a password"):
        user(organisation, found[name], Role.EDITOR)
    user(other, found["of another organisation"], Role.ADMIN)
    User.objects.create_superuser(found["superuser"], "Root", PASSWORD)
    User.objects.by_email(found["disabled"]).update(is_active=False)
    person = User.objects.by_email(found["without a password"]).get()
    person.set_password(None)
    person.save()
    return found


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_guess_takes_the_same_work_whoever_is_meant(
    door: str, organisation: Organisation, other_organisation: Organisation
) -> None:
    people = emails(organisation, other_organisation)
    told = {}
    with patch.object(MD5PasswordHasher, "encode", autospec=True, side_effect=MD5PasswordHasher.encode) as encode:
        for name, email in people.items():
            with count_queries() as queries:
                answer = DOORS[door](email, WRONG)
            page = MADE.sub("", answer.content.decode().replace(email, ""))
            told[name] = answer.status_code, len(queries), encode.call_count, page
            encode.reset_mock()
    assert {name: said[2] for name, said in told.items()} == dict.fromkeys(PEOPLE, 1)
    assert len(set(told.values())) == 1, {name: said[:3] for name, said in told.items()}


@pytest.mark.parametrize("door", DOORS)
def test_the_time_of_a_wrong_guess_does_not_tell_whether_the_email_is_known(
    door: str, organisation: Organisation, other_organisation: Organisation, settings: Settings
) -> None:
    """Interleaved, and each at its quickest, which is where nothing else that the machine does was in between."""
    settings.PASSWORD_HASHERS = [f"{__name__}.Slower"]
    settings.LOGIN_ATTEMPTS = 2 * ROUNDS
    people = emails(organisation, other_organisation)
    taken: dict[str, list[float]] = {name: [] for name in people}
    for _ in range(ROUNDS):
        for name, email in people.items():
            began = perf_counter()
            DOORS[door](email, WRONG)
            taken[name].append(perf_counter() - began)
    usual = min(taken["unknown"])
    ratios = {name: min(seconds) / usual for name, seconds in taken.items()}
    assert all(1 / RATIO < ratio < RATIO for ratio in ratios.values()), ratios


@pytest.fixture
def servers(committed_db: str, tmp_path: Path) -> Generator[list[Served]]:
    """Two processes behind one proxy, which is believed."""
    with ExitStack() as stack:
        made = []
        for program in sorted(COMMANDS):
            folder = tmp_path / program
            folder.mkdir()
            made.append(stack.enter_context(serving(committed_db, folder, program, TRUSTED_PROXIES="1")))
        yield made


def guess(served: Served, number: int, email: str, password: str) -> str:
    """What REST or the console says to it, from an address that is another each time, if one believes the header."""
    headers = {"X-Forwarded-For": f"203.0.113.{number}, 198.51.100.{number}"}
    with closing(HTTPConnection("localhost", served.port, timeout=60)) as connection:
        if number % 4:
            body = json.dumps({"email": email, "password": password})
            connection.request("POST", "/v1/admin/auth/login", body, {**headers, "Content-Type": "application/json"})
            said = json.loads(connection.getresponse().read())
            return str(said["error"]["code"]) if "error" in said else "LOGGED IN"
        return _at_the_console(connection, headers, email, password)


def _at_the_console(connection: HTTPConnection, headers: dict[str, str], email: str, password: str) -> str:
    connection.request("GET", "/admin/login/", headers=headers)
    page = connection.getresponse()
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    page.read()
    form = urlencode({"username": email, "password": password, "csrfmiddlewaretoken": cookie.partition("=")[2]})
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", "/admin/login/", form, headers | kind)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status == 302:
        return "LOGGED IN"
    return "ACCOUNT_LOCKED" if "Too many failed logins" in text else "INVALID_CREDENTIALS"


def test_of_guesses_at_two_servers_and_both_doors_at_once_exactly_as_many_are_looked_at_as_may(
    servers: list[Served], organisation: Organisation, other_organisation: Organisation
) -> None:
    """And neither the address of who guesses nor the right password, once it is locked, makes a difference."""
    victim = user(organisation, "victim@acme.example", Role.ADMIN)
    neighbour = user(other_organisation, "victim@elsewhere.example", Role.ADMIN)
    for person in (victim, neighbour):
        person.password = Slower().encode(PASSWORD, "salt")
        person.save()
    session = log_in_before(victim)

    told = side_by_side(2 * GUESSES, lambda number: guess(servers[number % 2], number, victim.email, WRONG))

    assert tally(told) == {"INVALID_CREDENTIALS": 5, "ACCOUNT_LOCKED": 2 * GUESSES - 5}
    assert LoginGuard.objects.get().attempts == 5
    assert [guess(each, 1, victim.email, PASSWORD) for each in servers] == ["ACCOUNT_LOCKED"] * 2
    assert guess(servers[0], 4, victim.email.upper(), PASSWORD) == "ACCOUNT_LOCKED"
    assert [guess(each, number, neighbour.email, PASSWORD) for number in (1, 4) for each in servers] == [
        "LOGGED IN"
    ] * 4
    assert Api(session).get("me").status_code == 200


def log_in_before(person: User) -> str:
    """A session that was open when the guessing began, on a hash that tests can check."""
    with patch.object(User, "check_password", return_value=True):
        return log_in(email=person.email, password=PASSWORD).access_token


def test_guesses_at_a_locked_account_do_not_lock_it_for_longer(organisation: Organisation) -> None:
    person = user(organisation, "victim@acme.example", Role.ADMIN)
    for _ in range(5):
        rest(person.email, WRONG)
    ends = LoginGuard.objects.get().window_ends_at
    for password in (WRONG, PASSWORD) * 5:
        locked = rest(person.email, password)
        assert locked.json()["error"]["code"] == "ACCOUNT_LOCKED"
    assert LoginGuard.objects.get().window_ends_at == ends
    assert ends > timezone.now()


@pytest.mark.parametrize("door", DOORS)
def test_a_locked_account_says_the_same_to_the_right_password(door: str, organisation: Organisation) -> None:
    person = user(organisation, "victim@acme.example", Role.ADMIN)
    for _ in range(5):
        rest(person.email, WRONG)
    told = []
    for password in (WRONG, PASSWORD):
        with count_queries() as queries:
            page = DOORS[door](person.email, password).content.decode()
        told.append((MADE.sub("", page), len(queries)))
    assert told[0] == told[1]
