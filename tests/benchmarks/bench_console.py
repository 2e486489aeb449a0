"""Every kind of page of the console, in an organisation with 100,000 of everything.

`make bench` runs it. It fails where a page takes more than 20 SQL statements, or half a second at its best, and where
a file of everything takes memory that grows with it.
"""

import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken, AuditEntry, User
from pipelines.models import HistoryEntry, Pin
from tests.benchmarks.last_run import Record
from tests.console.pages import hidden
from tests.console.people import at_console
from tests.queries import count_queries

MOST_STATEMENTS = 20
MOST_MS = 500
MOST_MEMORY = 32 * 1024 * 1024
MEASURED = 5
DAYS = "since=2026-01-01&until=2026-01-01"
PINS, PIPELINES, TEMPLATES = "/admin/pipelines/pin/", "/admin/pipelines/pipeline/", "/admin/integrations/template/"
USERS, TOKENS, LOG = "/admin/accounts/user/", "/admin/accounts/apitoken/", "/admin/accounts/auditentry/"


def pages(names: dict[str, str]) -> list[str]:
    """What people open, with the filters and the far pages that cost most."""
    pin = Pin.objects.filter(template=names["halved"]).order_by("pk").first()
    assert pin is not None
    history = f"{PIPELINES}{names['pipeline']}/history/"
    middle = HistoryEntry.objects.filter(pipeline=names["pipeline"]).order_by("pk")[50_000].pk
    return [
        "/admin/",
        "/admin/fleet/",
        "/admin/fleet/?page=1900",
        "/admin/fleet/?behind=true",
        "/admin/fleet/?label=environment:staging",
        PIPELINES,
        f"{PIPELINES}?p=1900",
        f"{PIPELINES}?label=environment:staging",
        f"{PIPELINES}?q=shop-77",
        f"{PIPELINES}?{DAYS}",
        f"{PIPELINES}?{DAYS}&p=1000",
        f"{PIPELINES}{names['pipeline']}/",
        f"{PIPELINES}{names['pipeline']}/config/",
        f"{PIPELINES}{names['pipeline']}/assign/",
        history,
        f"{history}?before={middle}",
        f"{history}?after=1",
        f"{history}?kind=parameter&before={middle}",
        f"{history}?{DAYS}",
        f"{history}?since=2026-01-02&until=2026-01-02&kind=pin",
        f"{history}?who=nobody",
        PINS,
        f"{PINS}?p=3900",
        f"{PINS}pi_a{1:016}/?span=week",
        f"{PINS}?outdated=true",
        f"{PINS}?outdated=one",
        f"{PINS}?outdated=more&p=1900",
        f"{PINS}?unresolved=true",
        f"{PINS}?label=environment:staging",
        f"{PINS}?q=shop+77",
        f"{PINS}?{DAYS}",
        f"{PINS}?{DAYS}&outdated=true&p=1000",
        f"{PINS}{pin.pk}/",
        f"{PINS}{pin.pk}/?span=week",
        f"{PINS}{pin.pk}/do/disable/",
        f"{PINS}{pin.pk}/move/?revision=1",
        TEMPLATES,
        f"{TEMPLATES}?p=1900",
        f"{TEMPLATES}?{DAYS}",
        f"{TEMPLATES}{names['shared']}/",
        f"{TEMPLATES}{names['shared']}/revisions/3/",
        f"{TEMPLATES}{names['shared']}/revisions/3/?page=1900",
        f"{TEMPLATES}{names['shared']}/compare/?before=1&after=5",
        f"{TEMPLATES}{names['shared']}/revise/",
        f"{TEMPLATES}{names['long']}/",
        f"{TEMPLATES}{names['long']}/?page=1900",
        "/admin/catalogue/",
        "/admin/catalogue/ga4/",
        "/admin/catalogue/ga4/install/",
        USERS,
        f"{USERS}?p=1900",
        f"{USERS}?q=user77",
        f"{USERS}{names['actor']}/",
        TOKENS,
        f"{TOKENS}?p=1900",
        f"{TOKENS}{ApiToken.objects.order_by('pk')[50_000].pk}/",
        LOG,
        f"{LOG}?p=1900",
        f"{LOG}?{DAYS}",
        f"{LOG}?q=77",
        f"{LOG}?resource_type=revision",
        f"{LOG}{AuditEntry.objects.order_by('pk')[50_000].pk}/",
    ]


def forms(names: dict[str, str], client: Client) -> dict[str, Callable[[], Any]]:
    """What is sent to see what would happen: the plan of an action, the review of a revision of the template that all have."""
    pins = " ".join(Pin.objects.filter(template=names["halved"]).order_by("pk").values_list("pk", flat=True)[:1000])
    revise = f"{TEMPLATES}{names['shared']}/revise/"
    opened = hidden(client.get(revise)) | {"delivery_mode": "server_side", "do": "review"}

    def review(measurement: str) -> Callable[[], Any]:
        return lambda: client.post(revise, opened | {"field_measurement_id": measurement})

    return {
        "the plan of disabling 1,000": lambda: client.post(f"{PINS}actions/plan/disable/", {"pins": pins}),
        "the review of a revision without parameters": review("77"),
        "… that needs a parameter which all have": review("{{pipeline_param.ga4_measurement_id}}"),
        "… which nobody has": review("{{pipeline_param.nothing}}"),
        "… of which all have one, nobody the other": review(
            "{{pipeline_param.ga4_measurement_id}}{{pipeline_param.b}}"
        ),
        "… of which half have one": review("{{pipeline_param.half}}"),
    }


def test_every_page_comes_in_half_a_second_and_twenty_statements(
    crowd: dict[str, str], admin_user: User, record: Record, say: Callable[[str], None]
) -> None:
    client = at_console(admin_user)
    opened: dict[str, Callable[[], Any]] = {address: opener(client, address) for address in pages(crowd)}
    table, missed, taken = [], [], []
    for name, ask in (opened | forms(crowd, client)).items():
        best, statements = measured(name, ask)
        taken.append((best, statements))
        shown = name
        for part, value in crowd.items():
            shown = shown.replace(value, f"{{{part}}}")
        table.append(f"{shown:<72} {best:>8.0f} {statements:>10}")
        if best > MOST_MS or statements > MOST_STATEMENTS:
            missed.append(shown)
    say(f"\n\n{'page':<72} {'best ms':>8} {'statements':>10}")
    say("\n".join(table))
    slowest, most = (max(each) for each in zip(*taken, strict=True))
    figure = f"the slowest {slowest:.0f} ms, at most {most} statements"
    record(f"console: {len(taken)} pages and forms", figure, f"≤ {MOST_MS} ms, ≤ {MOST_STATEMENTS} statements")
    assert missed == []


def opener(client: Client, address: str) -> Callable[[], Any]:
    return lambda: client.get(address)


def measured(name: str, ask: Callable[[], Any]) -> tuple[float, int]:
    """The best of some runs in milliseconds, and how many statements one takes."""
    with count_queries() as queries:
        assert ask().status_code == 200, name
    taken = []
    for _ in range(MEASURED):
        start = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - start) * 1000)
    return min(taken), len(queries)


@pytest.mark.parametrize("address", [PIPELINES, LOG])
def test_a_file_of_everything_is_sent_in_bounded_memory(
    crowd: dict[str, str], admin_user: User, record: Record, address: str
) -> None:
    answer: Any = at_console(admin_user).get(f"{address}export/csv/")
    pieces: Iterable[bytes] = answer.streaming_content
    start, size = time.perf_counter(), 0
    tracemalloc.start()
    for piece in pieces:
        size += len(piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    seconds = time.perf_counter() - start
    figure = f"{size / 1e6:.0f} MB in {seconds:.1f} s, {most / 1e6:.1f} MB of memory"
    record(f"console: `{address}export/csv/`", figure, f"< {MOST_MEMORY / 1e6:.1f} MB of memory")
    assert size > MOST_MEMORY / 4
    assert most < MOST_MEMORY
