"""Those who only look: programs that read over REST, and people at the console."""

import random
import re
from http.cookies import SimpleCookie

import httpx

from tests.load.callers import Caller, Surprise
from tests.load.ledger import Ledger
from tests.load.scene import Scene

PROXIED = {
    "Host": "localhost",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "192.0.2.7",
}  # as a proxy says it of a browser's request

# By operation, as addresses to be filled in.
READS = {
    "list_pipelines": "v1/admin/pipelines?limit=20&label=environment:production",
    "get_pipeline": "v1/admin/pipelines/{pipeline}",
    "list_pipeline_integrations": "v1/admin/pipelines/{pipeline}/integrations",
    "get_pipeline_config": "v1/admin/pipelines/{pipeline}/config",
    "get_pipeline_config then": "v1/admin/pipelines/{pipeline}/config?version={version}",
    "get_pipeline_status": "v1/admin/pipelines/{pipeline}/status",
    "list_pipeline_history": "v1/admin/pipelines/{pipeline}/history?limit=20",
    "list_all_pipeline_integrations": "v1/admin/pipeline-integrations?outdated=true&limit=50",
    "get_pipeline_integration": "v1/admin/pipelines/{pin_pipeline}/integrations/{pin}",
    "get_deliveries": "v1/admin/pipelines/{pin_pipeline}/integrations/{pin}/deliveries?span=hour",
    "list_templates": "v1/admin/integration-templates",
    "get_template": "v1/admin/integration-templates/{template}",
    "list_revisions": "v1/admin/integration-templates/{template}/revisions?limit=20",
    "get_revision": "v1/admin/integration-templates/{moved}/revisions/{number}",
    "compare_revisions": "v1/admin/integration-templates/{moved}/revisions/{number}/diff?against=1",
    "list_revision_usages": "v1/admin/integration-templates/{moved}/revisions/{number}/usages?limit=20",
    "list_vendors": "v1/admin/integration-catalog",
    "get_vendor": "v1/admin/integration-catalog/webhook",
    "list_rollouts": "v1/admin/rollouts?limit=20",
    "get_rollout": "v1/admin/rollouts/{rollout}",
    "list_rollout_targets": "v1/admin/rollouts/{rollout}/targets?limit=20",
    "list_users": "v1/admin/users",
    "get_user": "v1/admin/users/{user}",
    "list_tokens": "v1/admin/tokens",
    "list_audit_entries": "v1/admin/audit-log?limit=20",
    "get_me": "v1/admin/me",
    "check_liveness": "livez",
    "check_readiness": "readyz",
    "metrics": "metrics",
}
PAGES = {
    "home": "",
    "fleet": "fleet/",
    "pipelines": "pipelines/pipeline/?label=environment:staging",
    "pipeline": "pipelines/pipeline/{pipeline}/",
    "config": "pipelines/pipeline/{pipeline}/config/",
    "history": "pipelines/pipeline/{pipeline}/history/",
    "pins": "pipelines/pin/?outdated=true",
    "pin": "pipelines/pin/{pin}/",
    "templates": "integrations/template/",
    "template": "integrations/template/{moved}/",
    "new revision": "integrations/template/{moved}/revise/",
    "compare": "integrations/template/{moved}/compare/?before=1&after={number}",
    "rollouts": "pipelines/rollout/",
    "rollout": "pipelines/rollout/{rollout}/",
    "catalogue": "catalogue/",
    "users": "accounts/user/",
    "tokens": "accounts/apitoken/",
    "audit log": "accounts/auditentry/",
}


class Names:
    """What the addresses are filled in with; each reader looks for the newest of what comes and goes."""

    def __init__(self, scene: Scene, dice: random.Random) -> None:
        self.scene = scene
        self.dice = dice
        self.seen: dict[str, str] = {}

    def fill(self, path: str) -> str:
        scene = self.scene
        return path.format(
            pipeline=self.dice.choice(scene.pipelines),
            template=self.dice.choice([scene.rolled, scene.tagged, scene.moved]),
            moved=scene.moved,
            number=self.dice.randint(2, len(scene.revisions)),
            user=scene.admin_id,
            **self.seen,
        )

    async def look(self, me: Caller) -> None:
        """For a pin that stays, a rollout, and a version to ask for."""
        pins = await me.ask(
            "list_all_pipeline_integrations", "GET", f"v1/admin/pipeline-integrations?template={self.scene.tagged}"
        )
        pin = self.dice.choice(pins.json()["integrations"])
        rollouts = (await me.ask("list_rollouts", "GET", "v1/admin/rollouts?limit=50")).json()["rollouts"]
        started = [each["id"] for each in rollouts if each["state"] != "planned"]  # a plan may be discarded meanwhile
        self.seen = {"pin": pin["id"], "pin_pipeline": pin["pipeline_id"], "version": str(self.dice.randint(1, 100))}
        self.seen |= {"rollout": self.dice.choice(started)} if started else {}


class Reader:
    """A program that reads all that the API has to read, one kind after the other."""

    def __init__(self, me: Caller, metrics: Caller, scene: Scene, number: int) -> None:
        self.me = me
        self.metrics = metrics
        self.number = number
        self.names = Names(scene, random.Random(100 + number))  # noqa: S311  # replayed, not secret
        self.tags: dict[str, str] = {}

    async def step(self, number: int) -> None:
        kinds = list(READS)
        kind = kinds[(number + 7 * self.number) % len(kinds)]
        if kind == kinds[0] or not self.names.seen:
            await self.names.look(self.me)
        if "{rollout}" not in READS[kind] or "rollout" in self.names.seen:
            await self._read(kind, self.names.fill(READS[kind]))

    async def _read(self, kind: str, path: str) -> None:
        """Whoever has read it before asks whether it is still the same."""
        known = {"If_None_Match": self.tags[path]} if path in self.tags else {}
        who = self.metrics if kind == "metrics" else self.me
        answer = await who.ask(kind.partition(" ")[0], "GET", path, **known)
        if "ETag" in answer.headers:
            self.tags[path] = answer.headers["ETag"]


class Visitor:
    """A person at the console, who logs in and then opens one page after the other."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, me: Caller, scene: Scene, number: int) -> None:
        self.http = http
        self.ledger = ledger
        self.me = me
        self.scene = scene
        self.number = number
        self.names = Names(scene, random.Random(200 + number))  # noqa: S311  # replayed, not secret
        self.console = Caller(http, ledger, "")
        self.cookies = ""

    async def log_in(self) -> None:
        page = await self.console.ask("console: login", "GET", "admin/login/", **self._as_browser())
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text
        form = {"csrfmiddlewaretoken": token[1], "username": self.scene.login["email"]}
        form |= {"password": self.scene.login["password"], "next": "/admin/"}
        headers = PROXIED | {"Cookie": _cookies(page), "Referer": "https://localhost/admin/login/"}
        answer = await self.http.post("admin/login/", data=form, headers=headers)
        assert answer.status_code == 302, answer.text
        self.cookies = _cookies(answer)

    async def step(self, number: int) -> None:
        kinds = list(PAGES)
        kind = kinds[(number + 9 * self.number) % len(kinds)]
        if kind == kinds[0] or not self.names.seen:
            await self.names.look(self.me)
        if "{rollout}" in PAGES[kind] and "rollout" not in self.names.seen:
            return
        path = f"admin/{self.names.fill(PAGES[kind])}"
        page = await self.console.ask(f"console: {kind}", "GET", path, **self._as_browser())
        if page.status_code != 200 or "</html>" not in page.text:
            self.ledger.surprise(f"The page {path} is {page.status_code} and not whole.")
            raise Surprise

    def _as_browser(self) -> dict[str, str]:
        return {key.replace("-", "_"): text for key, text in PROXIED.items()} | {"Cookie": self.cookies}


class Session:
    """A person's login over REST, kept alive by its refresh tokens."""

    def __init__(self, anybody: Caller, scene: Scene) -> None:
        self.anybody = anybody
        self.scene = scene
        self.refresh_token = ""

    async def step(self, number: int) -> None:
        if not self.refresh_token:
            said = await self.anybody.change(
                "log_in", "POST", "v1/admin/auth/login", body=self.scene.login, actions=["user.logged_in"]
            )
        else:
            body = {"refresh_token": self.refresh_token}
            said = (await self.anybody.ask("refresh_session", "POST", "v1/admin/auth/refresh", body=body)).json()
        self.refresh_token = said["refresh_token"]
        person = Caller(self.anybody.http, self.anybody.ledger, said["access_token"])
        await person.ask("get_me", "GET", "v1/admin/me")


def _cookies(answer: httpx.Response) -> str:
    """To be sent by hand: they are meant for TLS, which only the proxy would speak."""
    found = SimpleCookie()
    for line in answer.headers.get_list("Set-Cookie"):
        found.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in found.items())
