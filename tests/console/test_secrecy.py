"""What nobody finds out at the console, whatever they type."""

import pytest
from django.test import Client

from accounts.models import AuditEntry, Organisation, User
from pipelines.parameters import Wish, change_parameters
from tests.factories import PASSWORD, PinFactory, PipelineFactory, TemplateFactory, system
from tests.queries import assert_same_queries, count_queries

CANARY = "canary-7f3a"


@pytest.fixture
def console(viewer_user: User) -> Client:
    client = Client()
    client.force_login(viewer_user)
    return client


def test_a_value_that_became_a_secret_is_masked_in_what_was_told_of_it_before(
    console: Client, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    actor = system(organisation)
    for wish in (Wish(CANARY), Wish(f"{CANARY}-2", secret=True)):
        change_parameters(actor=actor, pipeline_id=pipeline.pk, wishes={"token": wish})
    for address in ("/admin/", f"/admin/pipelines/pipeline/{pipeline.pk}/"):
        assert CANARY not in console.get(address).content.decode()


def test_plain_values_are_told_on_the_page_of_their_pipeline(console: Client, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation, parameters={"host": Wish("shop.example")})
    page = console.get(f"/admin/pipelines/pipeline/{pipeline.pk}/").content.decode()
    assert "Parameter host set to “shop.example”" in page


@pytest.mark.parametrize(
    "lookup", ["password__startswith=p", "password=x", "refreshtoken__token_hash=x", "organisation__name=Acme"]
)
def test_lists_answer_no_question_but_those_they_offer(admin_user: User, lookup: str) -> None:
    client = Client()
    client.force_login(admin_user)
    assert client.get(f"/admin/accounts/user/?{lookup}").status_code == 400
    assert client.get("/admin/accounts/user/?role__exact=admin").status_code == 200


def test_the_page_of_a_pipeline_takes_the_same_statements_with_ten_times_the_integrations(
    console: Client, organisation: Organisation
) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    counts = []
    for number in (1, 10):
        for _ in range(number):
            PinFactory(
                organisation=organisation, pipeline=pipeline, template=TemplateFactory(organisation=organisation)
            )
        with count_queries() as queries:
            console.get(f"/admin/pipelines/pipeline/{pipeline.pk}/")
        counts.append(queries)
    assert_same_queries(*counts)
    assert len(counts[1]) <= 20


def test_logging_in_to_the_console_is_audited(viewer_user: User) -> None:
    credentials = {"username": viewer_user.email, "password": PASSWORD}
    assert Client().post("/admin/login/?next=/admin/", credentials).status_code == 302
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor_id) == ("user.logged_in", viewer_user.pk)
