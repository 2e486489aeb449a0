"""What the database itself holds, tried with plain SQL past every service and model."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet

from accounts.models import AuditEntry, Organisation, User
from accounts.roles import Role
from tests.accounts.evidence import everything
from tests.accounts.threads import side_by_side, tally
from tests.conftest import user

APPEND_ONLY = "The audit log is append-only."
LAST_ADMIN = "An organisation keeps at least one admin."


def execute(sql: str, *values: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def refusal(sql: str, *values: str) -> str:
    """The sentence that the database refuses this with; nothing is changed by it."""
    before = everything()
    with pytest.raises(IntegrityError) as caught:
        execute(sql, *values)
    assert everything() == before
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_auditentry SET action = 'nothing'",
        "UPDATE accounts_auditentry SET actor_label = actor_label",
        "DELETE FROM accounts_auditentry",
    ],
)
def test_an_audit_entry_is_neither_changed_nor_deleted(admin_user: User, sql: str) -> None:
    assert refusal(sql) == APPEND_ONLY


def test_the_audit_log_is_not_emptied_either(admin_user: User, database_kind: str) -> None:
    if database_kind == "sqlite":
        pytest.skip("SQLite has no TRUNCATE.")
    execute("SET CONSTRAINTS ALL IMMEDIATE")  # the checks still due for the rows just made would refuse it first
    assert refusal("TRUNCATE accounts_auditentry") == APPEND_ONLY


def test_an_audit_entry_is_not_replaced_by_another(admin_user: User, database_kind: str) -> None:
    if database_kind == "postgresql":
        pytest.skip("PostgreSQL has no INSERT OR REPLACE.")
    columns = "organisation_id, actor_type, actor_id, actor_label, request_id, action, resource_type, resource_id"
    rest = "resource_label, changes, created_at"
    sql = (
        f"INSERT OR REPLACE INTO accounts_auditentry (id, {columns}, {rest}) "
        f"SELECT id, {columns.replace('action', chr(39) + 'forged' + chr(39))}, {rest} FROM accounts_auditentry"
    )
    assert refusal(sql) == APPEND_ONLY


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.update(action="nothing"),
        lambda rows: rows.delete(),
        lambda rows: rows.bulk_update([AuditEntry(pk=rows[0].pk, action="nothing")], ["action"]),
    ],
)
def test_nor_does_django_change_an_audit_entry(
    admin_user: User, change: Callable[[QuerySet[AuditEntry]], object]
) -> None:
    before = everything()
    with pytest.raises(IntegrityError, match=APPEND_ONLY), transaction.atomic():
        change(AuditEntry.objects.all())
    assert everything() == before


def test_an_audit_entry_always_names_its_actor(organisation: Organisation) -> None:
    for blank in ({"actor_id": "", "actor_label": "x"}, {"actor_id": "x", "actor_label": ""}):
        with pytest.raises(IntegrityError, match="audit_entry_names_its_actor"), transaction.atomic():
            AuditEntry.objects.create(organisation=organisation, actor_type="user", **blank)
    assert AuditEntry.objects.count() == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_user SET role = 'viewer' WHERE role = 'admin'",
        "UPDATE accounts_user SET is_active = false WHERE role = 'admin'",
        "UPDATE accounts_user SET organisation_id = NULL, is_superuser = true WHERE role = 'admin'",
        "DELETE FROM accounts_user WHERE role = 'admin'",
        "DELETE FROM accounts_user",
    ],
)
def test_the_last_admin_stays(admin_user: User, viewer_user: User, sql: str) -> None:
    assert refusal(sql) == LAST_ADMIN


def test_an_admin_does_not_move_to_another_organisation_and_leave_none_behind(
    admin_user: User, other_organisation: Organisation
) -> None:
    sql = "UPDATE accounts_user SET organisation_id = %s WHERE id = %s"
    assert refusal(sql, other_organisation.pk, admin_user.pk) == LAST_ADMIN


def test_all_admins_do_not_step_down_in_one_statement(admin_user: User, organisation: Organisation) -> None:
    user(organisation, "second@acme.example", Role.ADMIN)
    assert refusal("UPDATE accounts_user SET role = 'viewer'") == LAST_ADMIN


def test_an_admin_who_is_not_the_last_may_go(admin_user: User, organisation: Organisation) -> None:
    second = user(organisation, "second@acme.example", Role.ADMIN)
    execute("UPDATE accounts_user SET role = 'viewer' WHERE id = %s", second.pk)
    execute("DELETE FROM accounts_user WHERE id = %s", second.pk)
    assert list(User.objects.values_list("pk", "role")) == [(admin_user.pk, "admin")]


def test_two_admins_who_step_down_by_plain_sql_at_once_leave_one(
    committed_db: str, admin_user: User, organisation: Organisation
) -> None:
    second = user(organisation, "second@acme.example", Role.ADMIN)

    def step_down(number: int) -> bool:
        key = (admin_user.pk, second.pk)[number]
        with suppress(DatabaseError):
            execute("UPDATE accounts_user SET role = 'viewer' WHERE id = %s", key)
            return True
        return False

    assert tally(side_by_side(2, step_down)) == {True: 1, False: 1}
    assert User.objects.admins().count() == 1


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("UPDATE accounts_user SET role = 'owner' WHERE role = 'viewer'", "user_role_known"),
        ("UPDATE accounts_user SET role = 'processor' WHERE role = 'viewer'", "user_role_known"),
        ("UPDATE accounts_user SET email = 'Viewer@acme.example' WHERE role = 'viewer'", "user_email_lower"),
        (
            "UPDATE accounts_user SET organisation_id = NULL WHERE role = 'viewer'",
            "user_has_an_organisation_unless_superuser",
        ),
        ("UPDATE accounts_organisation SET name = ''", "organisation_has_a_name"),
        ("UPDATE accounts_apitoken SET scope = 'owner'", "token_scope_known"),
        ("UPDATE accounts_apitoken SET name = ''", "token_has_a_name"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_by_name(
    admin_user: User, viewer_user: User, processor: object, sql: str, constraint: str
) -> None:
    assert constraint in refusal(sql)


def test_no_two_users_have_one_email_and_no_two_tokens_one_hash(
    admin_user: User, viewer_user: User, processor: object
) -> None:
    assert "email" in refusal("UPDATE accounts_user SET email = 'one@acme.example'")
    copy = "INSERT INTO accounts_apitoken SELECT 'tok_copy', name, scope, token_hash, hint, created_by, created_at"
    before = everything()
    with pytest.raises(IntegrityError, match="token_hash"):
        execute(f"{copy}, expires_at, revoked_at, organisation_id FROM accounts_apitoken")
    assert everything() == before
