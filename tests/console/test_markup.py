"""Markup stored in every text column, looked at in a real browser with no policy that could hide a hole."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import ApiToken, AuditEntry, User
from integrations.models import Revision, Template
from pipelines.models import Pin, Pipeline, Rollout
from tests.attacks.planting import ATTACK, EXCEPTIONS, Planted, plant, rows_with, text_columns
from tests.console.test_roles import ADDRESSES, Rows, address
from tests.factories import PASSWORD

UNSEEN = {"RunningPin.config_hash", "RunningPin.refused_hash"}  # of which only what Pinion has made itself is shown
SUBMIT = ":is(button:not([type=button]), input[type=submit])"
FILES = ("/static/", "/admin/jsi18n/")
LOOK = """() => {
  const all = [...document.querySelectorAll("*")];
  const runs = (node) => [...node.attributes].some((each) =>
    /^on/i.test(each.name) ||
    (["href", "src", "action", "formaction", "data", "xlink:href"].includes(each.name) &&
     /^[\\s\\u0000-\\u001f]*(javascript|vbscript|data:text)/i.test(each.value)));
  const ours = /^\\/(static|admin\\/jsi18n)\\//;
  const foreign = (node) => node.tagName === "SCRIPT" && !ours.test(node.getAttribute("src"))
    || ["IFRAME", "OBJECT", "EMBED", "BASE", "MARQUEE", "STYLE"].includes(node.tagName)
    || node.tagName === "IMG" && !ours.test(node.getAttribute("src"));
  const said = (node) => ["value", "title", "alt", "placeholder", "aria-label"].map((name) => node.getAttribute(name));
  return {
    hits: window.hits || 0,
    injected: all.filter((node) => runs(node) || foreign(node)).map((node) => node.outerHTML.slice(0, 200)),
    text: [document.documentElement.textContent, ...all.flatMap(said), ...all.map((node) => node.value)]
      .filter((text) => typeof text === "string").join("\\n"),
  };
}"""


class Visitor:
    """Somebody at a browser that would run whatever a page holds; what ran, or was asked for, is written down."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.found: list[str] = []
        self.read: list[str] = []
        page.set_default_timeout(10_000)
        page.add_init_script("window.hit = () => { window.hits = (window.hits || 0) + 1; }")
        page.on("dialog", lambda dialog: self.found.append(f"{page.url}: a dialog says {dialog.message}"))
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self._asked(request.url, request.resource_type))

    def goto(self, where: str) -> Response:
        answer = self.page.goto(where, wait_until="domcontentloaded")
        assert answer is not None
        self.look(where)
        return answer

    def look(self, where: str) -> None:
        seen = self.page.evaluate(LOOK)
        self.read.append(seen["text"])
        if seen["hits"]:
            self.found.append(f"{where}: a script ran")
        self.found.extend(f"{where}: {node}" for node in seen["injected"])

    def send(self, where: str) -> bool:
        """The page's own form, if there is one that may be sent; then what that leads to."""
        buttons = self.page.locator("#content form[method=post]").last.locator(SUBMIT)
        if not buttons.count():
            return False
        buttons.last.click()
        self.page.wait_for_load_state("domcontentloaded")
        self.look(f"after {where}")
        return True

    def shows(self, text: str) -> bool:
        """Whether any page so far showed exactly this, or what JSON writes for it."""
        written = json.dumps(text, ensure_ascii=False)[1:-1]
        return any(text in read or written in read for read in self.read)

    def _asked(self, url: str, kind: str) -> None:
        path = urlsplit(url).path
        if not url.startswith(self.base) or (kind != "document" and not path.startswith(FILES)):
            self.found.append(f"{self.page.url}: asked for {url}")


@pytest.fixture
def planted(committed_db: str) -> Planted:
    return plant()


@pytest.fixture
def visitor(browser: Browser, live_server: LiveServer, planted: Planted) -> Generator[Visitor]:
    with closing(browser.new_context(base_url=live_server.url, bypass_csp=True)) as context:
        at = Visitor(context.new_page(), live_server.url)
        at.goto("/admin/login/?next=/admin/")
        at.page.get_by_label("Email").fill(planted.admin.email)
        at.page.get_by_label("Password").fill(PASSWORD)
        at.page.get_by_role("button", name="Log in").click()
        at.page.wait_for_url("**/admin/")
        yield at


def rows_of(planted: Planted) -> Rows:
    organisation = planted.organisation
    entries = AuditEntry.objects.filter(organisation=organisation, action="revision.created")
    return {
        Pipeline: Pipeline.objects.filter(organisation=organisation).earliest("created_at"),
        Pin: Pin.objects.filter(organisation=organisation).earliest("created_at"),
        Rollout: Rollout.objects.filter(organisation=organisation).earliest("created_at"),
        Template: Template.objects.get(organisation=organisation),
        Revision: Revision.objects.get(template__organisation=organisation, number=2),
        User: planted.admin,
        ApiToken: ApiToken.objects.filter(organisation=organisation).earliest("created_at"),
        AuditEntry: entries.latest("pk"),
    }


def pages(rows: Rows) -> Iterator[str]:
    """Every page of the address map, and every entry of the audit log."""
    files = {name for name in ADDRESSES if name.endswith("_export")}
    for name in sorted(ADDRESSES.keys() - {"login", "logout", "jsi18n"} - files):
        yield address(name, rows)
    for key in AuditEntry.objects.order_by("pk").values_list("pk", flat=True):
        yield f"/admin/accounts/auditentry/{key}/"


def test_every_text_column_is_planted_or_excepted_with_a_reason(db: None) -> None:
    plant()
    columns = {name: (model, column) for name, model, column in text_columns()}
    assert EXCEPTIONS.keys() - columns.keys() == set()
    bare = [name for name in columns.keys() - EXCEPTIONS.keys() if not rows_with(*columns[name])]
    assert bare == [], "Put the attack into these columns too, or say why nobody can."


def test_no_page_runs_what_stands_in_any_column_and_each_shows_it_as_it_is(visitor: Visitor, planted: Planted) -> None:
    for where in [*pages(rows_of(planted)), *planted.addresses.values()]:
        visitor.goto(where)
    assert visitor.found == []
    hidden = {name for name, text in planted.texts.items() if not visitor.shows(text)}
    assert hidden - EXCEPTIONS.keys() == UNSEEN


def test_no_filter_and_no_question_of_an_address_runs(visitor: Visitor, planted: Planted) -> None:
    rows, attack = rows_of(planted), quote(ATTACK)
    lists = [address(name, rows) for name in sorted(ADDRESSES) if name.endswith("_changelist")]
    for where in lists:
        visitor.goto(where)
        links = visitor.page.locator("#changelist-filter a[href^='?']")
        found = links.evaluate_all("nodes => nodes.map(node => node.getAttribute('href'))")
        for link in {link.partition("=")[0]: link for link in found}.values():  # one of each filter
            visitor.goto(f"{where}{link}")
    for where in [*lists, "/admin/fleet/", "/admin/catalogue/", f"{address('pipelines_pipeline_history', rows)}"]:
        for query in (f"q={attack}", f"who={attack}", f"{attack}={attack}"):
            visitor.goto(f"{where}?{query}")
    for where in (f"/admin/{attack}/", f"/{attack}", f"/v1/{attack}", f"/admin/login/?next={attack}"):
        assert visitor.goto(where).status in (200, 404)
    assert visitor.found == []


def test_no_message_and_no_refusal_runs(visitor: Visitor, planted: Planted) -> None:
    """What pages say after a form was sent: that it is done, or what is wrong with what was typed."""
    rows = rows_of(planted)
    template, pin = f"/admin/integrations/template/{rows[Template].pk}/", f"/admin/pipelines/pin/{rows[Pin].pk}/"
    token, pipeline = (
        f"/admin/accounts/apitoken/{rows[ApiToken].pk}/",
        f"/admin/pipelines/pipeline/{rows[Pipeline].pk}/",
    )
    sent = 0
    for where in (
        f"{pin}do/disable/",
        f"{pin}move/?revision=3",
        f"{token}revoke/",
        f"{template}edit/",
    ):
        visitor.goto(where)
        sent += visitor.send(where)
    for where in (
        "/admin/pipelines/pipeline/new/",
        "/admin/integrations/template/new/",
        "/admin/accounts/user/new/",
        "/admin/accounts/apitoken/new/",
        f"{pipeline}parameters/",
        f"{template}revise/",
        "/admin/catalogue/webhook/install/",
        f"/admin/pipelines/rollout/new/?template={rows[Template].pk}",
        f"{template}archive/",
    ):
        visitor.goto(where)
        for field in visitor.page.locator(
            "#content form[method=post] :is(input[type=text], input:not([type]), textarea)"
        ).all():
            if field.is_visible():
                field.fill(ATTACK)
        sent += visitor.send(where)
    assert visitor.found == []
    assert sent >= 11


def test_the_page_of_the_api_reads_no_other_description_than_ours(visitor: Visitor) -> None:
    visitor.page.goto(f"/v1/docs?url=https://evil.example/x.json&configUrl=/evil.json#/{quote(ATTACK)}")
    expect(visitor.page.get_by_role("link", name="/v1/admin/me")).to_be_attached()
    assert visitor.page.evaluate("window.hits || 0") == 0
    asked = [line.rpartition(" ")[2] for line in visitor.found if "asked for" in line]
    assert {urlsplit(url).path for url in asked} == {"/v1/docs", "/v1/openapi.json"}
    assert [line for line in visitor.found if "asked for" not in line] == []
