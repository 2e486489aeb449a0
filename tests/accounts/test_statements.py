from threading import Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError

from accounts.models import AuditEntry, Organisation, User
from accounts.statements import CompiledQuery, committed_together, execute, insert, together, update
from tests.factories import UserFactory
from tests.queries import count_queries

BY_EMAIL = CompiledQuery(
    lambda value: User.objects.filter(email=value("email"), is_active=True).select_related("organisation")
)
NAMES = CompiledQuery(
    lambda value: (
        User.objects.filter(organisation=value("organisation"), pk__in=[value("first"), value("second")])
        .order_by("email")
        .values_list("email", "organisation__name", "created_at", "is_superuser")
    )
)
LOCKED = CompiledQuery(lambda value: User.objects.filter(pk=value("id")).select_for_update())


def entry(organisation: Organisation, action: str, **facts: Any) -> AuditEntry:
    actor = {"actor_type": "system", "actor_id": "tests", "actor_label": "tests"}
    return AuditEntry(organisation=organisation, action=action, resource_type="none", **(actor | facts))


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def test_a_compiled_query_gives_what_its_queryset_gives_for_each_value(organisation: Organisation) -> None:
    users = [UserFactory(organisation=organisation, email=f"{name}@example.com") for name in "ab"]
    for user in users:
        with count_queries() as queries:
            found = BY_EMAIL.first(email=user.email)
            assert found is not None
            assert (found, found.organisation) == (user, organisation)
            assert {field.name: getattr(found, field.attname) for field in User._meta.concrete_fields} == {
                field.name: getattr(user, field.attname) for field in User._meta.concrete_fields
            }
        assert len(queries) == 1, str(queries)
    assert BY_EMAIL.first(email="c@example.com") is None


def test_a_compiled_query_gives_rows_of_values_as_its_queryset_does(organisation: Organisation) -> None:
    first, second = (UserFactory(organisation=organisation) for _ in range(2))
    UserFactory(organisation=organisation)
    rows = NAMES.all(organisation=organisation.pk, first=second.pk, second=first.pk)
    assert rows == [(user.email, organisation.name, user.created_at, False) for user in (first, second)]
    assert NAMES.all(organisation="org_other", first=second.pk, second=first.pk) == []


def test_a_value_is_never_part_of_the_statement(organisation: Organisation) -> None:
    user = UserFactory(organisation=organisation)
    for value in ("' OR ''='", "%s", "%(email)s", "email", '"; DROP TABLE accounts_user; --', "\\"):
        assert BY_EMAIL.first(email=value) is None
    assert BY_EMAIL.first(email=user.email) == user


def test_a_compiled_query_is_asked_in_the_connection_of_each_thread(
    committed_db: str, organisation: Organisation
) -> None:
    user = UserFactory(organisation=organisation)
    BY_EMAIL.first(email=user.email)
    found: list[User | None] = []

    def ask() -> None:
        found.append(BY_EMAIL.first(email=user.email))
        connection.close()

    with transaction.atomic():
        UserFactory(organisation=organisation, email="not-committed@example.com")
        threads = [Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [user] * 3


def test_a_lock_is_refused_outside_of_a_transaction(committed_db: str, organisation: Organisation) -> None:
    user = UserFactory(organisation=organisation)
    with pytest.raises(TransactionManagementError):
        LOCKED.first(id=user.pk)
    with transaction.atomic():
        assert LOCKED.first(id=user.pk) == user


def test_an_inserted_row_has_every_value_that_the_model_has(organisation: Organisation) -> None:
    made = entry(organisation, "made", changes={"a": {"old": None, "new": "ü%s'"}}, ip_address="2001:db8::1")
    insert(made)
    [kept] = AuditEntry.objects.all()
    assert (kept.action, kept.changes, kept.ip_address) == ("made", made.changes, "2001:db8::1")
    assert (kept.created_at, kept.organisation_id, kept.actor) == (made.created_at, organisation.pk, made.actor)


def test_only_the_named_fields_are_updated(organisation: Organisation) -> None:
    user = UserFactory(organisation=organisation, name="Before")
    update(User(pk=user.pk, name="After", role="admin"), "name")
    user.refresh_from_db()
    assert (user.name, user.role, user.email != "") == ("After", "viewer", True)


def test_what_is_written_together_is_sent_at_the_end_in_order(organisation: Organisation, database_kind: str) -> None:
    with count_queries() as queries, together():
        insert(entry(organisation, "first"))
        with together():
            insert(entry(organisation, "second"))
        assert len(queries.statements) == 0
        execute("UPDATE accounts_organisation SET name = %s WHERE id = %s", ["100 % new; or not", organisation.pk])
    assert len(queries) == (1 if database_kind == "postgresql" else 3)
    organisation.refresh_from_db()
    assert (actions(), organisation.name) == (["first", "second"], "100 % new; or not")


def test_nothing_is_sent_of_what_ends_in_an_error(organisation: Organisation) -> None:
    @together()
    def fail() -> None:
        insert(entry(organisation, "lost"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    insert(entry(organisation, "kept"))
    assert actions() == ["kept"]


def test_one_refused_statement_undoes_all_that_was_written_together(
    committed_db: str, organisation: Organisation
) -> None:
    @committed_together()
    def write() -> None:
        insert(entry(organisation, "first"))
        insert(entry(organisation, "nobody did this", actor_id=""))
        insert(entry(organisation, "third"))

    with pytest.raises(IntegrityError):
        write()
    assert (actions(), connection.in_atomic_block, connection.get_autocommit()) == ([], False, True)


def test_what_only_the_commit_refuses_undoes_all(committed_db: str, organisation: Organisation) -> None:
    """Foreign keys are checked at the commit, which here goes with the last statement."""

    @committed_together()
    def write() -> None:
        insert(entry(organisation, "kept by somebody"))
        insert(entry(Organisation(pk="org_nowhere"), "kept by nobody"))

    with pytest.raises(IntegrityError):
        write()
    assert actions() == []
    insert(entry(organisation, "after"))
    assert actions() == ["after"]


def test_what_is_committed_together_is_sent_in_one_and_seen_by_others_at_once(
    committed_db: str, organisation: Organisation, database_kind: str
) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        seen.append(actions())
        connection.close()

    with count_queries() as queries, committed_together():
        insert(entry(organisation, "first"))
        insert(entry(organisation, "second"))
    other = Thread(target=look)
    other.start()
    other.join()
    assert (seen, connection.in_atomic_block) == ([["first", "second"]], False)
    assert [sql.endswith(";COMMIT") for sql in queries.statements] == {"postgresql": [True]}.get(
        database_kind, [False, False]
    )


def test_inside_of_another_transaction_the_outer_one_commits(committed_db: str, organisation: Organisation) -> None:
    @transaction.atomic
    def fail() -> None:
        with committed_together():
            insert(entry(organisation, "undone"))
            insert(entry(organisation, "undone too"))
        assert actions() == ["undone", "undone too"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert actions() == []


def test_a_transaction_that_is_to_be_rolled_back_is_not_committed(
    committed_db: str, organisation: Organisation
) -> None:
    with committed_together():
        insert(entry(organisation, "first"))
        insert(entry(organisation, "second"))
        transaction.set_rollback(True)
    assert actions() == []
