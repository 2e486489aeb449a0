"""The first page of every list beside its thousandth, in an organisation with 100,000 of everything.

`make bench` runs it. It fails where one of the two takes more than three times as long as the other.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from django.test import RequestFactory
from django.urls import resolve

from accounts.credentials import access_token
from accounts.models import User
from config.rest.pages import cursor_of
from tests.benchmarks.last_run import Record
from tests.clients import Api

LIMIT = 100
MEASURED = 15
WORST_RATIO = 3.0


def lists(names: dict[str, str]) -> list[str]:
    """Every list that comes in pages, plain and with its filters."""
    pins = "pipeline-integrations"
    return [
        "pipelines",
        "pipelines?label=environment:production",
        "pipelines?label=environment:production&label=team:team-2",
        "pipelines?label=fleet:all",
        "pipelines?type=app",
        "pipelines?enabled=false",
        "pipelines?q=shop",
        "pipelines?q=shop-77",
        pins,
        f"{pins}?template={names['shared']}",
        f"{pins}?revision={names['third']}",
        f"{pins}?vendor=webhook",
        f"{pins}?label=environment:production",
        f"{pins}?label=environment:production&label=team:team-2",
        f"{pins}?label=fleet:all",
        f"{pins}?enabled=true",
        f"{pins}?enabled=false",
        f"{pins}?outdated=true",
        f"{pins}?outdated=false",
        f"{pins}?state=ok",
        f"{pins}?state=unresolvable",
        f"{pins}?template={names['halved']}&outdated=true&label=environment:production",
        f"pipelines/{names['pipeline']}/history",
        "integration-templates",
        "integration-templates?vendor=ga4&archived=true",
        "integration-templates?q=template",
        f"integration-templates/{names['long']}/revisions",
        f"integration-templates/{names['shared']}/revisions/{names['third']}/usages",
        "users",
        "tokens",
        "audit-log",
        f"audit-log?actor={names['actor']}",
        "audit-log?action=pin.updated&resource_type=pipeline_integration",
        "audit-log?since=2026-01-01T06:00:00Z&until=2026-01-02T00:00:00Z",
    ]


def test_the_thousandth_page_of_every_list_takes_as_long_as_the_first(
    crowd: dict[str, str], admin_user: User, record: Record, say: Callable[[str], None]
) -> None:
    api, bearer = Api(access_token(admin_user)), access_token(admin_user)
    table, missed, ratios = [], [], []
    for path in lists(crowd):
        page, cursor = deep_cursor(path, bearer)
        joint = "&" if "?" in path else "?"
        first, deep = f"{path}{joint}limit={LIMIT}", f"{path}{joint}limit={LIMIT}&cursor={cursor}"
        quick, slow = timed(api, first, deep)
        ratio = max(quick, slow) / min(quick, slow)
        ratios.append(ratio)
        shown = path
        for name, value in crowd.items():
            shown = shown.replace(value, f"{{{name}}}")
        table.append(f"{shown:<84} {page:>6} {quick:>8.1f} {slow:>8.1f} {slow / quick:>6.2f}")
        if ratio > WORST_RATIO:
            missed.append(shown)
    say(f"\n\n{'list, 100 on a page':<84} {'page':>6} {'first ms':>8} {'that ms':>8} {'ratio':>6}")
    say("\n".join(table))
    record(
        f"REST: the 1,000th page beside the first, {len(ratios)} lists",
        f"at most {max(ratios):.1f} ×",
        f"≤ {WORST_RATIO} ×",
    )
    assert missed == []


def deep_cursor(path: str, bearer: str, limit: int = LIMIT) -> tuple[int, str]:
    """The cursor of the thousandth page, or of the last full one where a filter leaves fewer; and which it is."""
    match = resolve(f"/v1/admin/{path.partition('?')[0]}")
    view: Any = match.func
    endpoint = view.cls(**view.initkwargs)
    endpoint.action_map = view.actions
    request = RequestFactory().get(f"/v1/admin/{path}", headers={"Authorization": f"Bearer {bearer}"})
    endpoint.setup(request, **match.kwargs)
    endpoint.request, endpoint.format_kwarg = endpoint.initialize_request(request), None
    rows: Any = endpoint.filter_queryset(endpoint.get_queryset()).order_by(*endpoint.ordering)
    page = min(1000, rows.count() // limit)
    assert page > 1, f"{path} has too few rows to compare pages"
    return page, cursor_of(rows[(page - 1) * limit - 1], endpoint.ordering)


def timed(api: Api, *paths: str) -> list[float]:
    """The median of each in milliseconds, taken in turns, so that a slow moment of the machine hits all."""
    taken: dict[str, list[float]] = {path: [] for path in paths}
    for _ in range(MEASURED + 2):
        for path in paths:
            start = time.perf_counter()
            answer = api.get(path)
            taken[path].append((time.perf_counter() - start) * 1000)
            assert answer.status_code == 200, answer.content
            assert len(next(iter(answer.json().values()))) == LIMIT, path
    return [median(times[2:]) for times in taken.values()]
