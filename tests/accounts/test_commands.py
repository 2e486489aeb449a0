"""`create_user` and `issue_token`: what they print, what they leave, and with which exit code they refuse."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.credentials import actor_for_bearer
from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.sessions import log_in
from pipelines.models import TokenPipeline
from tests.accounts.evidence import audited, everything
from tests.factories import PASSWORD, PipelineFactory

STRONG = "a long enough one"
ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "ops@host-1"


@pytest.fixture(autouse=True)
def operator() -> Any:
    with patch("getpass.getuser", return_value="ops"), patch("socket.gethostname", return_value="host-1"):
        yield


def run(*arguments: str, stdin: str | None = None) -> tuple[str, str]:
    """Standard output and standard error of a command."""
    out, error = io.StringIO(), io.StringIO()
    with patch("sys.stdin", io.StringIO(stdin or "")):
        call_command(*arguments, stdout=out, stderr=error)
    return out.getvalue(), error.getvalue()


def create(*arguments: str, password: str = STRONG) -> str:
    return run("create_user", *arguments, "--password-stdin", stdin=f"{password}\r\n")[0]


def refused(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
    """Exit code and message of a command that leaves everything as it was."""
    before = everything()
    with pytest.raises(CommandError) as caught:
        run(*arguments, stdin=stdin)
    assert everything() == before
    return caught.value.returncode, str(caught.value)


def test_a_user_is_added_to_the_only_organisation_there_is(organisation: Organisation) -> None:
    printed = create("New.Person@Acme.Example", "--role", "editor")

    user = User.objects.get()
    assert printed == f"{user.pk}  new.person@acme.example  editor  Acme\n"
    assert (user.name, user.organisation, user.role) == ("New.Person", organisation, "editor")
    assert audited() == [("user.created", OPERATOR)]
    assert log_in(email="new.person@acme.example", password=STRONG).expires_in == 900


def test_the_default_role_is_the_least(organisation: Organisation) -> None:
    create("new@acme.example", "--name", "New Person")
    assert User.objects.values_list("role", "name").get() == ("viewer", "New Person")


def test_a_new_organisation_begins_with_an_admin(db: None) -> None:
    printed = json.loads(create("ada@acme.example", "--new-organisation", "Acme", "--format", "json"))

    user, organisation = User.objects.get(), Organisation.objects.get()
    assert printed == {
        "id": user.pk,
        "email": "ada@acme.example",
        "name": "ada",
        "role": "admin",
        "organisation": {"id": organisation.pk, "name": "Acme"},
    }


def test_the_password_is_asked_for_twice_at_a_terminal(organisation: Organisation) -> None:
    with patch("sys.stdin.isatty", return_value=True), patch("getpass.getpass", return_value=STRONG) as ask:
        call_command("create_user", "new@acme.example", stdout=io.StringIO())
    assert [call.args for call in ask.call_args_list] == [("Password: ",), ("Once more: ",)]
    assert User.objects.get().check_password(STRONG)


def test_two_passwords_that_differ_are_refused(organisation: Organisation) -> None:
    with (
        patch("sys.stdin.isatty", return_value=True),
        patch("getpass.getpass", side_effect=[STRONG, STRONG + "!"]),
        pytest.raises(CommandError, match="The two passwords differ") as caught,
    ):
        call_command("create_user", "new@acme.example")
    assert (caught.value.returncode, User.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["new@acme.example", "--organisation", "Nowhere"], 2, "Say which organisation with --organisation."),
        (["new@acme.example", "--new-organisation", "B", "--role", "viewer"], 2, "The first user of an organisation"),
        (["new@acme.example", "--new-organisation", ""], 1, "name: This field cannot be blank."),
        (["new@acme.example", "--new-organisation", "x" * 201], 1, "name: Ensure this value has at most 200"),
        (["new@acme.example", "--actor", "nobody@acme.example"], 2, "Acme has no enabled user nobody@acme.example."),
        (["new@acme.example", "--actor", "viewer@acme.example"], 1, "viewer@acme.example is a viewer, and this takes"),
        (["VIEWER@acme.example"], 1, "A user with this email exists already."),
        (["no email"], 1, "email: Enter a valid email address."),
        (["a" * 10_000 + "@acme.example"], 1, "email: Enter a valid email address."),
        (["new@acme.example", "--name", "x" * 201], 1, "name: Ensure this value has at most 200"),
    ],
)
def test_what_is_wrong_with_a_new_user_is_said_and_nothing_kept(
    organisation: Organisation, viewer_user: User, arguments: list[str], code: int, message: str
) -> None:
    returned, said = refused("create_user", *arguments, "--password-stdin", stdin=STRONG)
    assert (returned, said[: len(message)]) == (code, message)


@pytest.mark.parametrize("password", ["", "short", "new@acme.example", "password123"])
def test_a_weak_password_is_refused(organisation: Organisation, password: str) -> None:
    code, said = refused("create_user", "new@acme.example", "--password-stdin", stdin=f"{password}\n")
    assert (code, said.startswith("This password is too weak.")) == (1, True)


def test_without_a_terminal_the_password_must_be_sent(organisation: Organisation) -> None:
    assert refused("create_user", "new@acme.example") == (
        2,
        "There is no terminal to ask on. Send the password with --password-stdin.",
    )


def test_among_several_organisations_one_must_be_named(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    code, said = refused("create_user", "new@acme.example", "--password-stdin", stdin=STRONG)
    assert (code, said) == (
        2,
        "Say which organisation with --organisation. "
        f"There are: Acme ({organisation.pk}), Elsewhere ({other_organisation.pk}).",
    )
    create("new@acme.example", "--organisation", "Elsewhere")
    create("two@acme.example", "--organisation", organisation.pk)
    assert list(User.objects.order_by("email").values_list("organisation__name", flat=True)) == ["Elsewhere", "Acme"]


def test_where_there_is_no_organisation_it_says_how_to_make_one(db: None) -> None:
    assert refused("create_user", "new@acme.example", "--password-stdin", stdin=STRONG)[1].endswith(
        "There are: none yet: see manage.py create_user --new-organisation."
    )


def test_who_acts_is_recorded(admin_user: User) -> None:
    create("new@acme.example", "--actor", "Admin@acme.example")
    entry = AuditEntry.objects.latest("pk")
    assert entry.actor == {"type": "user", "id": admin_user.pk, "label": "admin@acme.example"}


def test_a_token_stands_alone_on_standard_output(organisation: Organisation) -> None:
    out, error = run("issue_token", "Nightly job", "--scope", "editor")

    token = ApiToken.objects.get()
    assert actor_for_bearer(out.strip()).role is Role.EDITOR
    assert out.count("\n") == 1
    assert error == f"{token.pk} “Nightly job”, scope editor. It is not shown again.\n"
    assert audited() == [("token.issued", OPERATOR)]
    assert out.strip() not in repr(everything())


def test_a_token_as_json(organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False):
        arguments = ("--scope", "processor", "--days", "30", "--pipeline", pipeline.pk, "--format", "json")
        out, error = run("issue_token", "Feed", *arguments)

    printed = json.loads(out)
    secret = printed.pop("token")
    token = ApiToken.objects.get()
    assert (token.hint, error) == (secret[-4:], "")
    assert printed == {
        "id": token.pk,
        "name": "Feed",
        "scope": "processor",
        "expires_at": "2026-03-31T10:00:00Z",
        "pipelines": [pipeline.pk],
    }
    assert list(TokenPipeline.objects.values_list("token_id", "pipeline_id")) == [(token.pk, pipeline.pk)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["", "--scope", "viewer"], 1, "name: This field cannot be blank."),
        (["x" * 201, "--scope", "viewer"], 1, "name: Ensure this value has at most 200"),
        (["Job", "--scope", "viewer", "--pipeline", "pip_x"], 1, "Only a processor token can be limited to pipelines."),
        (
            ["Job", "--scope", "processor", "--pipeline", "pip_x"],
            1,
            "There is no pipeline 'pip_x' in this organisation.",
        ),
        (["Job", "--scope", "viewer", "--actor", "viewer@acme.example"], 1, "viewer@acme.example is a viewer"),
        (["Job", "--scope", "owner"], 1, "Error: argument --scope: invalid choice: 'owner'"),
        (["Job", "--scope", "viewer", "--days", "0"], 1, "Error: argument --days: must be a whole number from 1 to"),
        (["Job", "--scope", "viewer", "--days", "-1"], 1, "Error: argument --days: must be a whole number from 1 to"),
        (["Job", "--scope", "viewer", "--days", "9999999"], 1, "Error: argument --days: must be a whole number from"),
        (["Job"], 1, "Error: the following arguments are required: --scope"),
    ],
)
def test_what_is_wrong_with_a_new_token_is_said_and_nothing_kept(
    viewer_user: User, arguments: list[str], code: int, message: str
) -> None:
    returned, said = refused("issue_token", *arguments)
    assert (returned, said[: len(message)]) == (code, message)


def test_the_shell_sees_the_exit_codes(spare_database: str) -> None:
    """Wrong usage is 2 at the shell, where Django's own parser leaves the program by itself."""
    manage(spare_database, "migrate", "--verbosity", "0")
    made = manage(spare_database, "create_user", "ada@acme.example", "--new-organisation", "Acme", "--password-stdin")
    again = manage(spare_database, "create_user", "ada@acme.example", "--password-stdin")
    token = manage(spare_database, "issue_token", "Job", "--scope", "viewer", "--format", "json")
    usage = manage(spare_database, "issue_token", "Job", "--scope", "viewer", "--days", "0")
    nowhere = manage(spare_database, "issue_token", "Job", "--scope", "viewer", "--organisation", "Nowhere")

    assert [run.returncode for run in (made, again, token, usage, nowhere)] == [0, 1, 0, 2, 2]
    assert again.stderr.endswith("CommandError: A user with this email exists already. Use another email.\n")
    assert "Traceback" not in again.stderr + usage.stderr + nowhere.stderr
    assert json.loads(token.stdout)["scope"] == "viewer"


def manage(database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        input=STRONG,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DATABASE_URL": database_url},
        cwd=ROOT,
    )


def test_django_makes_a_superuser_who_belongs_to_no_organisation(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--no-input", "--email", "Root@Example.com", "--name", "Root", stdout=io.StringIO())
    root = User.objects.get_by_natural_key("ROOT@example.com")
    assert (root.email, root.organisation, root.is_superuser, root.is_staff) == ("root@example.com", None, True, True)
    with pytest.raises(CommandError, match="already taken"):
        call_command("createsuperuser", "--no-input", "--email", "root@example.com", "--name", "Root")
