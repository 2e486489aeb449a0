"""A token is shown once, in the answer that makes it, and never again."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.admin.sending import ELSEWHERE, TOO_OLD
from accounts.credentials import hashed
from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from pipelines.models import TokenPipeline
from pipelines.tokens import issue_limited_token
from tests.console.pages import hidden
from tests.console.people import at_console, errors, everything, problems, told
from tests.factories import PipelineFactory, system
from tests.queries import assert_same_queries, count_queries

TOKENS = "/admin/accounts/apitoken/"
NEW = f"{TOKENS}new/"
SECRET = re.compile(r"pinion_[\w-]{43}")


@pytest.fixture
def admin(admin_user: User) -> Client:
    return at_console(admin_user)


def form_key(client: Client) -> str:
    return str(client.get(NEW).context["form_key"])


def filled(client: Client, **fields: Any) -> dict[str, Any]:
    return {"name": "Dashboards", "scope": "viewer", "expires_at": "", "form_key": form_key(client), **fields}


def test_a_token_is_in_the_answer_and_nowhere_after(admin: Client) -> None:
    response = admin.post(NEW, filled(admin, expires_at="2199-05-01T10:30"))
    [shown] = set(SECRET.findall(response.content.decode()))
    token = ApiToken.objects.get()
    assert hashed(shown) == token.token_hash
    assert (token.name, token.scope, token.created_by) == ("Dashboards", "viewer", "admin@acme.example")
    assert token.expires_at == datetime(2199, 5, 1, 10, 30, tzinfo=UTC)
    assert "no-store" in response["Cache-Control"]
    assert AuditEntry.objects.filter(action="token.issued", resource_id=token.pk).count() == 1
    for address in (TOKENS, f"{TOKENS}{token.pk}/", "/admin/accounts/auditentry/"):
        page = admin.get(address).content.decode()
        assert not SECRET.search(page)
        assert token.token_hash not in page


def test_sending_the_same_form_again_issues_no_other_token(admin: Client) -> None:
    sent = filled(admin)
    admin.post(NEW, sent)
    again = admin.post(NEW, sent)
    assert again.status_code == 409
    assert "This form has been sent already" in again.content.decode()
    assert not SECRET.search(again.content.decode())
    assert "no-store" in again["Cache-Control"]
    assert ApiToken.objects.count() == 1


def test_two_forms_issue_two_tokens(admin: Client) -> None:
    admin.post(NEW, filled(admin))
    admin.post(NEW, filled(admin))
    assert ApiToken.objects.count() == 2


def test_a_form_that_was_refused_can_be_mended_and_sent_again(admin: Client) -> None:
    sent = filled(admin, expires_at="2001-01-01T00:00")
    refused = admin.post(NEW, sent)
    assert errors(refused) == {"expires_at": ["expires_at is in the past. Give a time to come, or none."]}
    assert SECRET.search(admin.post(NEW, {**sent, **hidden(refused), "expires_at": ""}).content.decode())
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("key", ["", "made up", "WyJ1c3JfMSIsICJ4Il0:1abc:signature"])
def test_a_form_without_a_key_of_ours_issues_nothing_and_comes_back(admin: Client, key: str) -> None:
    response = admin.post(NEW, filled(admin, form_key=key))
    assert told(response) == [TOO_OLD]
    assert response.context["form"]["name"].value() == "Dashboards"
    assert ApiToken.objects.count() == 0
    assert SECRET.search(admin.post(NEW, filled(admin, **hidden(response))).content.decode())


def test_a_key_is_good_for_half_a_day_and_for_one_person(
    admin: Client, organisation: Organisation, admin_user: User, other_organisation: Organisation
) -> None:
    sent = filled(admin)
    with time_machine.travel(timezone.now() + timedelta(hours=13), tick=False):
        assert told(at_console(admin_user).post(NEW, sent)) == [TOO_OLD]
    colleague = User.objects.create(organisation=organisation, email="b@acme.example", name="B", role="admin")
    assert told(at_console(colleague).post(NEW, sent)) == [ELSEWHERE]
    assert ApiToken.objects.count() == 0


def test_pipelines_are_found_by_name_slug_and_id_without_losing_what_is_typed(
    admin: Client, organisation: Organisation, other_organisation: Organisation
) -> None:
    shop = PipelineFactory(organisation=organisation, name="Web Shop")
    blog = PipelineFactory(organisation=organisation, name="Blog")
    PipelineFactory(organisation=other_organisation, name="Web Shop of theirs")
    sent = filled(admin, scope="processor", q="shop", find="yes")
    page = admin.post(NEW, sent)
    assert [key for key, _ in page.context["form"].fields["pipelines"].choices] == [shop.pk]
    page = admin.post(NEW, {**sent, "q": blog.pk, "pipelines": [shop.pk]})
    form = page.context["form"]
    assert sorted(key for key, _ in form.fields["pipelines"].choices) == sorted([shop.pk, blog.pk])
    assert form["pipelines"].value() == [shop.pk]
    assert (form["name"].value(), form["scope"].value()) == ("Dashboards", "processor")
    assert ApiToken.objects.count() == 0


def test_a_processors_token_is_limited_to_the_pipelines_ticked(admin: Client, organisation: Organisation) -> None:
    shop = PipelineFactory(organisation=organisation, name="Web Shop")
    admin.post(NEW, filled(admin, scope="processor", pipelines=[shop.pk]))
    token = ApiToken.objects.get()
    assert list(TokenPipeline.objects.values_list("token_id", "pipeline_id")) == [(token.pk, shop.pk)]
    assert "Web Shop" in admin.get(f"{TOKENS}{token.pk}/").content.decode()


def test_only_a_processors_token_can_be_limited(admin: Client, organisation: Organisation) -> None:
    shop = PipelineFactory(organisation=organisation)
    refused = admin.post(NEW, filled(admin, scope="viewer", pipelines=[shop.pk]))
    assert errors(refused) == {
        "pipelines": ["Only a processor token can be limited to pipelines. Leave pipelines out."]
    }
    assert ApiToken.objects.count() == 0


def test_another_organisations_pipeline_cannot_be_ticked(admin: Client, other_organisation: Organisation) -> None:
    theirs = PipelineFactory(organisation=other_organisation)
    refused = admin.post(NEW, filled(admin, scope="processor", pipelines=[theirs.pk]))
    assert list(errors(refused)) == ["pipelines"]
    assert ApiToken.objects.count() == 0


def test_a_token_is_revoked_after_a_question(admin: Client, organisation: Organisation) -> None:
    token, _ = issue_token(actor=system(organisation), name="Old", scope=Role.VIEWER)
    address = f"{TOKENS}{token.pk}/revoke/"
    assert problems(admin.get(address)) == []
    token.refresh_from_db()
    assert token.revoked_at is None
    assert told(admin.post(address, follow=True)) == ["Old is revoked."]
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert told(admin.post(address, follow=True)) == ["Old is revoked already."]
    assert problems(admin.get(address)) == ["Old is revoked already."]
    assert AuditEntry.objects.filter(action="token.revoked").count() == 1


def test_the_list_says_scope_hint_expiry_and_maker(admin: Client, organisation: Organisation) -> None:
    expiry = datetime(2199, 5, 1, 10, 30, tzinfo=UTC)
    token, _ = issue_token(actor=system(organisation), name="Feed", scope=Role.PROCESSOR, expires_at=expiry)
    page = admin.get(TOKENS).content.decode()
    for text in ("Feed", "processor", f"…{token.hint}", "2199-05-01", "tests", "Live", "API tokens"):
        assert text in page


@pytest.mark.parametrize(("state", "names"), [("live", ["Live"]), ("expired", ["Expired"]), ("revoked", ["Revoked"])])
def test_tokens_are_filtered_by_state(admin: Client, organisation: Organisation, state: str, names: list[str]) -> None:
    actor = system(organisation)
    issue_token(actor=actor, name="Live", scope=Role.VIEWER)
    expired, _ = issue_token(actor=actor, name="Expired", scope=Role.VIEWER)
    revoked, _ = issue_token(actor=actor, name="Revoked", scope=Role.VIEWER)
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    ApiToken.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    shown = admin.get(TOKENS, {"state": state}).context["cl"].result_list
    assert [token.name for token in shown] == names


def test_the_list_takes_as_many_statements_for_many_tokens_as_for_few(
    admin: Client, organisation: Organisation
) -> None:
    def issue(count: int) -> None:
        for number in range(count):
            pipeline = PipelineFactory(organisation=organisation)
            issue_limited_token(
                actor=system(organisation), name=f"T{number}", scope=Role.PROCESSOR, pipelines=[pipeline.pk]
            )

    issue(1)
    with count_queries() as few:
        admin.get(TOKENS)
    issue(9)
    with count_queries() as many:
        admin.get(TOKENS)
    assert_same_queries(few, many)
    assert len(few) <= 20


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_nobody_but_an_admin_issues_or_revokes_a_token(
    organisation: Organisation, admin: Client, viewer_user: User, editor_user: User, role: Role
) -> None:
    client = at_console(viewer_user if role == Role.VIEWER else editor_user)
    token, _ = issue_token(actor=system(organisation), name="Feed", scope=Role.PROCESSOR)
    sent = filled(admin)
    before = everything()
    assert client.post(NEW, sent).status_code == 403
    assert client.post(f"{TOKENS}{token.pk}/revoke/").status_code == 403
    assert client.get(f"{TOKENS}{token.pk}/").status_code == 403
    assert everything() == before


def test_no_page_of_djangos_own_shows_the_tokens_hash(admin: Client, organisation: Organisation) -> None:
    token, _ = issue_token(actor=system(organisation), name="Feed", scope=Role.PROCESSOR)
    for closed in ("change/", "history/", "delete/"):
        assert admin.get(f"{TOKENS}{token.pk}/{closed}").status_code == 404
