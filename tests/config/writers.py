"""People who go on writing whatever happens to the servers, and remember what they were told."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import httpx
from django.db import connection

from accounts.models import AuditEntry, IdempotentAnswer, Organisation, User
from accounts.roles import Role
from integrations.models import Template
from pipelines.models import HistoryEntry, Pin
from tests.config.rest import Client
from tests.conftest import user
from tests.console.people import Console, key_for
from tests.factories import TemplateFactory, revision_of

CSRF = "a" * 32
PASSING = (503,)  # what may be said of a write while something is away; its sender does not know what became of it


class Writer:
    """One after the other, each write once; `told` has the status of those that were answered, `unsure` the others."""

    def __init__(self, writes: Sequence[str], send: Callable[[str], int], done: int) -> None:
        self.writes = list(writes)
        self.send = send
        self.done = done
        self.told: dict[str, int] = {}
        self.unsure: list[str] = []
        self.refused = 0

    def found(self) -> dict[str, tuple[int, ...]]:
        """Of each write how many rows there are of each kind that it makes: one of each, or none of any."""
        raise NotImplementedError

    def run(self, ended: threading.Event) -> None:
        try:
            for name in self.writes:
                if ended.is_set():
                    return
                self._write(name, ended)
        finally:
            connection.close()

    def _write(self, name: str, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                status = self.send(name)
            except httpx.ConnectError:  # nobody was there to hear it
                time.sleep(0.05)
                continue
            except httpx.HTTPError:
                self.unsure.append(name)
                return
            if status in PASSING:
                self.unsure.append(name)
                self.refused += 1
                time.sleep(0.05)
                return
            self.told[name] = status
            return

    def send_again(self) -> dict[str, int]:
        """What is said of those that nobody knew of, when they are sent once more as they were."""
        return {name: self.send(name) for name in self.unsure}


class Assigner(Writer):
    """Pins the revision of a template on one pipeline after the other, over REST, each with a key of its own."""

    def __init__(self, url: str, template: Template, pipelines: Sequence[str]) -> None:
        self.client = Client(url, user(template.organisation, f"{pipelines[0]}@acme.example", Role.EDITOR))
        self.template = template
        self.body = {"integration_id": template.pk, "revision_id": revision_of(template).pk}
        super().__init__(pipelines, self.assign, 201)

    def assign(self, pipeline_id: str) -> int:
        answer = self.client.send(
            "POST", f"pipelines/{pipeline_id}/integrations", self.body, Idempotency_Key=pipeline_id
        )
        if answer.status >= 400:
            assert answer.fault == (503, "UNAVAILABLE"), answer
            assert answer.headers["Retry-After"] == "1"
        return answer.status

    def found(self) -> dict[str, tuple[int, ...]]:
        """Of each pipeline how many pins, lines of history, audit entries and kept answers there are."""
        pins = dict(Pin.objects.filter(template=self.template).values_list("pipeline_id", "pk"))
        ids = pins.values()
        history = list(HistoryEntry.objects.filter(subject_id__in=ids).values_list("subject_id", flat=True))
        audit = list(AuditEntry.objects.filter(resource_id__in=ids).values_list("resource_id", flat=True))
        kept = list(IdempotentAnswer.objects.filter(status=201).values_list("key", flat=True))
        return {
            name: (int(name in pins), history.count(pin), audit.count(pin), kept.count(name))
            for name in self.writes
            for pin in [pins.get(name, "")]
        }


class Disabler(Writer):
    """Turns pins off in the console, one after the other, each with a form of its own."""

    def __init__(self, url: str, who: User, pins: Sequence[str]) -> None:
        self.url = url
        opened = Pin.objects.filter(pk__in=pins).select_related("template")
        self.forms = {pin.pk: {"tag": pin.tag, "form_key": key_for(who), "csrfmiddlewaretoken": CSRF} for pin in opened}
        self.cookies = {"sessionid": Console(who).cookies["sessionid"].value, "csrftoken": CSRF}
        super().__init__(pins, self.disable, 302)

    def disable(self, pin_id: str) -> int:
        where = f"/admin/pipelines/pin/{pin_id}/do/disable/"
        with httpx.Client(trust_env=False, timeout=60, cookies=self.cookies) as http:
            answer = http.post(f"{self.url}{where}", data=self.forms[pin_id])
        if answer.status_code != 302:
            assert (answer.status_code, "not available just now" in answer.text) == (503, True)
        return answer.status_code

    def found(self) -> dict[str, tuple[int, ...]]:
        """Of each pin whether it is off, how many lines of history say so, and how many audit entries."""
        off = set(Pin.objects.filter(pk__in=self.writes, enabled=False).values_list("pk", flat=True))
        lines = HistoryEntry.objects.filter(subject_id__in=self.writes, after_enabled=False)
        history = list(lines.values_list("subject_id", flat=True))
        entries = AuditEntry.objects.filter(resource_id__in=self.writes, action="pin.updated")
        audit = list(entries.values_list("resource_id", flat=True))
        return {name: (int(name in off), history.count(name), audit.count(name)) for name in self.writes}


@contextmanager
def at_work(writers: Sequence[Writer]) -> Generator[None]:
    ended = threading.Event()
    threads = [threading.Thread(target=writer.run, args=[ended]) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def assert_whole(writer: Writer) -> None:
    """What was answered is there once; of the rest all is there or nothing; sent again, it is there once too."""
    found = writer.found()
    kinds = len(next(iter(found.values())))
    once, nothing = (1,) * kinds, (0,) * kinds
    assert set(writer.told.values()) <= {writer.done}
    assert {name: found[name] for name in writer.told if found[name] != once} == {}
    assert {name: count for name, count in found.items() if count not in (once, nothing)} == {}
    untouched = set(writer.writes) - set(writer.told) - set(writer.unsure)
    assert {found[name] for name in untouched} <= {nothing}
    assert set(writer.send_again().values()) <= {writer.done}
    found = writer.found()
    assert {name: found[name] for name in [*writer.told, *writer.unsure] if found[name] != once} == {}


def assigners(url: str, organisation: Organisation, pipelines: Sequence[str], count: int) -> list[Assigner]:
    """So many, each with pipelines of its own."""
    template = TemplateFactory(organisation=organisation, vendor="webhook")
    return [Assigner(url, template, pipelines[start::count]) for start in range(count)]
