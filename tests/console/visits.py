"""Every kind of page of the console, and how a person gets to it in a browser."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from accounts.models import ApiToken, AuditEntry, Organisation, User
from accounts.roles import Role
from accounts.tokens import issue_token
from integrations.models import Template
from pipelines.demo import login
from pipelines.models import Pin
from tests.console.rollouts import ROLLOUTS, page_of, planned, running
from tests.factories import system

Visit = Callable[[Page], None]

WEBSITE = "/admin/pipelines/pipeline/pip_xyz789/"
META = "/admin/pipelines/pin/pi_abc123/"
META_TEMPLATE = "/admin/integrations/template/tmpl_abc123/"
PINS = "/admin/pipelines/pin/"


def addresses() -> dict[str, str]:
    """The pages that a person opens by their address, in the demo organisation."""
    viewer = User.objects.by_email(login(Role.VIEWER)["email"]).get()
    entry = AuditEntry.objects.filter(action="revision.created").latest("pk")
    person, token = f"/admin/accounts/user/{viewer.pk}/", f"/admin/accounts/apitoken/{_token().pk}/"
    return {
        "home": "/admin/",
        "fleet": "/admin/fleet/",
        "pipelines": "/admin/pipelines/pipeline/",
        "pipeline": WEBSITE,
        "new pipeline": "/admin/pipelines/pipeline/new/",
        "edit pipeline": f"{WEBSITE}edit/",
        "assign": f"{WEBSITE}assign/",
        "parameter": f"{WEBSITE}parameters/",
        "delete pipeline": f"{WEBSITE}delete/",
        "config": f"{WEBSITE}config/",
        "pins": "/admin/pipelines/pin/",
        "pin": META,
        "move": f"{META}move/?revision=5",
        "templates": "/admin/integrations/template/",
        "new template": "/admin/integrations/template/new/",
        "template": META_TEMPLATE,
        "edit template": f"{META_TEMPLATE}edit/",
        "archive": f"{META_TEMPLATE}archive/",
        "delete template": f"{META_TEMPLATE}delete/",
        "new revision": f"{META_TEMPLATE}revise/",
        "revision": f"{META_TEMPLATE}revisions/3/",
        "retire": f"{META_TEMPLATE}revisions/3/status/retired/",
        "compare": f"{META_TEMPLATE}compare/?before=2&after=5",
        "catalogue": "/admin/catalogue/",
        "vendor": "/admin/catalogue/snowflake/",
        "install": "/admin/catalogue/webhook/install/",
        "users": "/admin/accounts/user/",
        "new user": "/admin/accounts/user/new/",
        "tokens": "/admin/accounts/apitoken/",
        "new token": "/admin/accounts/apitoken/new/",
        "audit log": "/admin/accounts/auditentry/",
        "password": "/admin/password_change/",
        "history": f"{WEBSITE}history/",
        "history without lines": f"{WEBSITE}history/?who=nobody",
        "user": person,
        "edit user": f"{person}edit/",
        "set a password": f"{person}password/",
        "disable user": f"{person}do/disable/",
        "token": token,
        "revoke token": f"{token}revoke/",
        "audit entry": f"/admin/accounts/auditentry/{entry.pk}/",
        "assign without a match": f"{WEBSITE}assign/?q=nothing",
        "catalogue without a match": "/admin/catalogue/?q=nothing",
        "list without a match": f"{PINS}?q=nothing",
        "fleet without a match": "/admin/fleet/?q=nothing",
        "not found": "/admin/pipelines/pipeline/nothing/",
        **_rollouts(),
    }


def _rollouts() -> dict[str, str]:
    """GA4 on its way back to its first revision: the first of two waves is applied, and another plan is there."""
    template = Template.objects.get(name="GA4")
    plan, rollout = planned(template, revision="1"), running(template, revision="1")
    pin = Pin.objects.filter(template=template).latest("pk")
    return {
        "rollouts": ROLLOUTS,
        "plan a rollout of which template": f"{ROLLOUTS}new/",
        "plan a rollout": f"{ROLLOUTS}new/?like={plan.pk}",
        "plan of a rollout": page_of(plan),
        "rollout": page_of(rollout),
        "pipelines of a rollout": f"{page_of(rollout)}targets/",
        "pause a rollout": f"{page_of(rollout)}pause/",
        "take a rollout back": f"{page_of(rollout)}revert/",
        "pin in a rollout": f"/admin/pipelines/pin/{pin.pk}/do/disable/",
        "template of a rollout": f"/admin/integrations/template/{template.pk}/",
    }


def _token() -> ApiToken:
    token, _ = issue_token(actor=system(Organisation.objects.get()), name="Frankfurt", scope=Role.PROCESSOR)
    return token


def opening(address: str) -> Visit:
    def visit(page: Page) -> None:
        page.goto(address)

    return visit


def plan_of_an_action(page: Page) -> None:
    page.goto(PINS)
    for box in page.get_by_role("checkbox", name="Select this object for an action").all()[:3]:
        box.check()
    page.get_by_label("Action:").select_option("enable_chosen")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("region", name="Plan")).to_be_visible()


def review_of_a_revision(page: Page) -> None:
    page.goto(f"{META_TEMPLATE}revise/")
    page.get_by_label("Pixel (dataset) ID").fill("{{pipeline_param.pixel}}")
    page.get_by_label("Access token").fill("another-token")
    page.get_by_role("button", name="Show what changes").click()
    expect(page.get_by_role("heading", name="Before you save")).to_be_visible()


def refused_form(page: Page) -> None:
    page.goto("/admin/pipelines/pipeline/new/")
    page.get_by_label("Name").fill("Shop")
    page.get_by_label("Slug").fill("No_slug-")
    page.get_by_role("button", name="Add pipeline").click()
    expect(page.locator(".errorlist")).to_be_visible()


def refused_plan(page: Page) -> None:
    page.goto(f"{ROLLOUTS}new/?template=tmpl_abc123")
    page.get_by_label("Wait after each wave").fill("soon")
    page.get_by_text("Set limits").click()
    page.get_by_label("Most failed events").fill("many")
    page.get_by_role("button", name="Show the plan").click()
    expect(page.locator(".errorlist")).to_have_count(2)


def form_from_elsewhere(page: Page) -> None:
    address = page.url
    page.goto("about:blank")
    page.set_content(f'<form method="post" action="{address}"><button>Send</button></form>')
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("This form was not sent by a page of this console.")).to_be_visible()


def form_of_an_old_tab(page: Page) -> None:
    """Its token is one that a login in another tab has made worthless."""
    page.goto("/admin/pipelines/pipeline/new/")
    page.get_by_label("Name").fill("Typed before")
    page.locator("[name=csrfmiddlewaretoken]").last.evaluate("input => { input.value = 'x'.repeat(64) }")
    page.get_by_role("button", name="Add pipeline").click()
    expect(page.get_by_text("you logged in anew in another tab")).to_be_visible()


def session_that_ended(page: Page) -> None:
    page.goto("/admin/pipelines/pipeline/new/")
    page.get_by_label("Name").fill("Typed before")
    page.context.clear_cookies()
    page.get_by_role("button", name="Add pipeline").click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()


def login_page(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/admin/")


def visits() -> dict[str, Visit]:
    """All of them; the last ones log the person out."""
    return {name: opening(address) for name, address in addresses().items()} | {
        "plan": plan_of_an_action,
        "review": review_of_a_revision,
        "refused form": refused_form,
        "refused plan": refused_plan,
        "form from elsewhere": form_from_elsewhere,
        "form of an old tab": form_of_an_old_tab,
        "session that ended": session_that_ended,
        "login": login_page,
    }
