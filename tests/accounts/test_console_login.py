"""Console logins pass the same guard as those of the API."""

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.backends import GuardedBackend
from accounts.models import LoginGuard, User
from accounts.sessions import prove
from tests.factories import PASSWORD


@pytest.fixture(autouse=True)
def guarded(settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["accounts.backends.GuardedBackend"]


def test_the_right_password_opens_the_console_to_any_user(viewer_user: User) -> None:
    assert authenticate(username="Viewer@acme.example", password=PASSWORD) == viewer_user


def test_a_superuser_without_an_organisation_may_come_in_here(db: None) -> None:
    root = User.objects.create_superuser("root@example.com", "Root", PASSWORD)
    client = Client()
    client.post("/admin/login/", {"username": "root@example.com", "password": PASSWORD})
    assert client.session["_auth_user_id"] == root.pk


@pytest.mark.parametrize(
    "credentials", [{}, {"username": "viewer@acme.example"}, {"username": "viewer@acme.example", "password": None}]
)
def test_credentials_of_another_kind_are_left_to_other_backends(viewer_user: User, credentials: dict[str, str]) -> None:
    assert GuardedBackend().authenticate(None, **credentials) is None
    assert LoginGuard.objects.count() == 0


def test_guesses_at_the_console_and_at_the_api_are_counted_together(viewer_user: User) -> None:
    for _ in range(3):
        assert authenticate(username=viewer_user.email, password="wrong") is None
    for _ in range(2):
        assert prove(email=viewer_user.email, password="wrong") is None
    assert authenticate(username=viewer_user.email, password=PASSWORD) is None


def test_a_disabled_user_is_put_out_of_the_console_with_the_next_request(viewer_user: User) -> None:
    assert GuardedBackend().get_user(viewer_user.pk) == viewer_user
    User.objects.filter(pk=viewer_user.pk).update(is_active=False)
    assert GuardedBackend().get_user(viewer_user.pk) is None
    assert authenticate(username=viewer_user.email, password=PASSWORD) is None
