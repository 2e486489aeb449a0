"""A form does what it asks for once: a second click without script leads to what the first one made."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import IdempotentAnswer, Organisation, User
from accounts.once import CHANGED, SENT, do_once
from accounts.roles import Role
from integrations.models import Template
from pipelines.models import Pin, Pipeline
from tests.console.pages import LIST, hidden
from tests.console.people import at_console, errors, key_for, told
from tests.factories import PASSWORD, PinFactory, PipelineFactory, TemplateFactory, UserFactory, actor_of

PIPELINES = "/admin/pipelines/pipeline/"
CREATING = {
    f"{PIPELINES}new/": {"name": "Shop", "type": "web"},
    f"{LIST}new/": {"name": "Hook", "vendor": "webhook"},
    "/admin/catalogue/webhook/install/": {"name": "Hook", "field_url": "https://x.example"},
    "/admin/accounts/user/new/": {"email": "new@acme.example", "name": "Nora", "role": "viewer"},
}


@pytest.fixture
def admin(admin_user: User) -> Client:
    return at_console(admin_user)


def counts() -> tuple[int, int, int, int]:
    return Pipeline.objects.count(), Template.objects.count(), User.objects.count(), Pin.objects.count()


@pytest.mark.parametrize(("address", "typed"), CREATING.items())
def test_the_same_form_sent_twice_makes_one_thing_and_leads_to_it_both_times(
    admin: Client, address: str, typed: dict[str, str]
) -> None:
    sent = hidden(admin.get(address)) | typed
    first = admin.post(address, sent)
    made = counts()
    second = admin.post(address, sent, follow=True)
    assert second.redirect_chain == [(first["Location"], 302)]
    assert told(second)[-1] == SENT
    assert counts() == made


def test_a_form_that_was_changed_after_it_was_sent_comes_back_and_makes_another_thing(admin: Client) -> None:
    """As when somebody goes back in the browser, and writes another name over the first."""
    address = f"{PIPELINES}new/"
    sent = hidden(admin.get(address)) | {"name": "Shop", "type": "web"}
    admin.post(address, sent)
    answer = admin.post(address, sent | {"name": "Blog"})
    assert errors(answer) == {"__all__": [CHANGED]}
    assert answer.context["form"]["name"].value() == "Blog"
    admin.post(address, sent | {"name": "Blog"} | hidden(answer))
    assert sorted(Pipeline.objects.values_list("name", flat=True)) == ["Blog", "Shop"]


def test_two_forms_make_two_things(admin: Client) -> None:
    for _ in range(2):
        address = f"{PIPELINES}new/"
        admin.post(address, hidden(admin.get(address)) | {"name": "Shop", "type": "web"})
    assert sorted(Pipeline.objects.values_list("name", "slug")) == [("Shop", "shop"), ("Shop", "shop-2")]


def test_a_second_click_on_a_question_is_told_from_somebody_elses_change(
    admin: Client, organisation: Organisation
) -> None:
    pin = PinFactory(organisation=organisation)
    address = f"/admin/pipelines/pin/{pin.pk}/do/disable/"
    sent = hidden(admin.get(address))
    admin.post(address, sent)
    assert told(admin.post(address, sent, follow=True))[-1] == SENT


def test_an_integration_is_assigned_once(admin: Client, organisation: Organisation) -> None:
    pipeline, template = PipelineFactory(organisation=organisation), TemplateFactory(organisation=organisation)
    address = f"{PIPELINES}{pipeline.pk}/assign/"
    sent = hidden(admin.get(address)) | {"revision": f"{template.pk}:1", "enabled": "on"}
    admin.post(address, sent)
    again = admin.post(address, sent, follow=True)
    assert again.redirect_chain == [(f"{PIPELINES}{pipeline.pk}/", 302)]
    assert told(again)[-1] == SENT
    assert Pin.objects.count() == 1


def test_a_form_that_was_refused_can_be_mended_and_sent_again(admin: Client) -> None:
    address = f"{PIPELINES}new/"
    sent = hidden(admin.get(address)) | {"name": "Shop", "type": "web", "slug": "Not A Slug"}
    refused = admin.post(address, sent)
    assert errors(refused).keys() == {"slug"}
    mended = sent | {"slug": "shop"}
    assert admin.post(address, mended | hidden(refused)).status_code == 302
    assert admin.post(address, mended).status_code == 200  # the first page's key is still good, and the slug is taken
    assert Pipeline.objects.count() == 1


def test_a_form_that_was_open_for_half_a_day_comes_back_with_what_was_typed(admin: Client, admin_user: User) -> None:
    address = f"{PIPELINES}new/"
    sent = hidden(admin.get(address)) | {"name": "Shop", "type": "web"}
    with time_machine.travel(timezone.now() + timedelta(hours=13), tick=False):
        later = at_console(admin_user)
        answer = later.post(address, sent)
        assert told(answer) == [
            "This form was open for too long, so nothing has been changed. Look it over, and send it again."
        ]
        assert answer.context["form"]["name"].value() == "Shop"
        assert Pipeline.objects.count() == 0
        assert later.post(address, sent | hidden(answer)).status_code == 302
    assert Pipeline.objects.count() == 1


def test_a_superusers_form_does_nothing_in_another_organisation_than_it_was_opened_in(
    organisation: Organisation, other_organisation: Organisation
) -> None:
    superuser = User.objects.create_superuser("root@house.example", "Root", PASSWORD)
    client = at_console(superuser)
    client.post("/admin/organisation/", {"organisation": organisation.pk})
    address = f"{PIPELINES}new/"
    sent = hidden(client.get(address)) | {"name": "Shop", "type": "web"}
    client.post("/admin/organisation/", {"organisation": other_organisation.pk})
    assert told(client.post(address, sent)) == [
        "This form was opened by somebody else or in another organisation, so nothing has been changed."
    ]
    assert Pipeline.objects.count() == 0


def test_a_used_key_is_forgotten_after_a_day(admin: Client, organisation: Organisation, admin_user: User) -> None:
    do_once(actor=actor_of(admin_user), key="old", said="", change=str)
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    admin.post(f"{PIPELINES}new/", {"name": "Shop", "type": "web"})
    assert [answer.key[:5] for answer in IdempotentAnswer.objects.all()] == ["form:"]
    assert not IdempotentAnswer.objects.filter(key="form:old").exists()


def test_of_many_clicks_at_once_one_makes_a_pipeline(committed_db: str, organisation: Organisation) -> None:
    user = UserFactory(organisation=organisation, role=Role.ADMIN)
    sent = {"name": "Shop", "type": "web", "form_key": key_for(user)}
    clients = [at_console(user) for _ in range(4)]
    answers: list[Any] = []

    def click(client: Client) -> None:
        answers.append(client.post(f"{PIPELINES}new/", sent)["Location"])
        connection.close()

    clicks = [Thread(target=click, args=[client]) for client in clients]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    made = Pipeline.objects.get()
    assert answers == [f"{PIPELINES}{made.pk}/"] * 4
