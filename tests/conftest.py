"""The cast: who tries every door. Viewer, editor and admin of one organisation, a stranger who is admin of another,
a processor, and nobody."""

from collections.abc import Mapping

import pytest

from accounts.credentials import access_token
from accounts.models import ApiToken, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from tests.clients import Api
from tests.factories import OrganisationFactory, UserFactory, system

Cast = Mapping[str, Api]


@pytest.fixture
def organisation(db: None) -> Organisation:
    made: Organisation = OrganisationFactory(name="Acme")
    return made


@pytest.fixture
def other_organisation(db: None) -> Organisation:
    made: Organisation = OrganisationFactory(name="Elsewhere")
    return made


@pytest.fixture
def viewer_user(organisation: Organisation) -> User:
    return user(organisation, "viewer@acme.example", Role.VIEWER)


@pytest.fixture
def editor_user(organisation: Organisation) -> User:
    return user(organisation, "editor@acme.example", Role.EDITOR)


@pytest.fixture
def admin_user(organisation: Organisation) -> User:
    return user(organisation, "admin@acme.example", Role.ADMIN)


@pytest.fixture
def viewer(viewer_user: User) -> Api:
    return Api(access_token(viewer_user))


@pytest.fixture
def editor(editor_user: User) -> Api:
    return Api(access_token(editor_user))


@pytest.fixture
def admin(admin_user: User) -> Api:
    return Api(access_token(admin_user))


@pytest.fixture
def stranger(other_organisation: Organisation) -> Api:
    return Api(access_token(user(other_organisation, "admin@elsewhere.example", Role.ADMIN)))


@pytest.fixture
def processor(organisation: Organisation) -> Api:
    return Api(token(organisation, Role.PROCESSOR)[1])


@pytest.fixture
def nobody(db: None) -> Api:
    return Api()


@pytest.fixture
def cast(viewer: Api, editor: Api, admin: Api, stranger: Api, processor: Api, nobody: Api) -> Cast:
    """Everybody by name."""
    return {
        "viewer": viewer,
        "editor": editor,
        "admin": admin,
        "stranger": stranger,
        "processor": processor,
        "nobody": nobody,
    }


def user(organisation: Organisation, email: str, role: Role) -> User:
    made: User = UserFactory(organisation=organisation, email=email, role=role)
    return made


def token(organisation: Organisation, scope: Role) -> tuple[ApiToken, str]:
    return issue_token(actor=system(organisation), name=f"{scope.value} token", scope=scope)
