"""What processors were told: versions in order and in time, and in the end what stands in the database."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from django.db.models import Sum

from pipelines.models import DeliveryFigure, Pipeline
from pipelines.versions import head
from tests.load.looking import Check, Versions
from tests.load.scene import Scene
from tests.load.traffic import Crowd

SEEN_WITHIN = 3.0  # seconds from an answer until nobody reads what was before: README, “What processors load”


def streams(crowd: Crowd, scene: Scene, versions: Versions) -> Check:
    """Ever newer versions, each at once or a newer one instead, and the last one in the end."""
    check = Check("versions told by streams, each newer than the last")
    epoch, newest = head(scene.organisation.pk)
    written = [(change.answered_at, number) for change, number in versions.written(crowd.ledger.changes)]
    for listener in crowd.listeners:
        heard = listener.heard
        numbers = [each.version for each in heard]
        check.count += len(heard) - 1
        check.that(all(a <= b for a, b in pairwise(numbers)), f"A stream told {numbers}")
        check.that({each.epoch for each in heard} == {epoch}, "A stream told of another epoch.")
        check.that(numbers[-1:] == [newest], f"A stream ended at {numbers[-1:]}, not at {newest}")
        if not listener.reconnects:
            check.that(all(a < b for a, b in pairwise(numbers)), f"A stream told twice: {numbers}")
            late = list(_late(written, [(each.at, each.version) for each in heard]))
            check.that(late == [], f"A stream had not told {SEEN_WITHIN} s after the answer of {late[:5]}")
    return check


def _late(written: Sequence[tuple[float, int]], heard: Sequence[tuple[float, int]]) -> Iterator[int]:
    """Accepted versions that were neither told in time nor overtaken by a newer one."""
    times = [at for at, _ in heard]
    for at, version in written:
        told = bisect_right(times, at + SEEN_WITHIN)
        if told == 0 or heard[told - 1][1] < version:
            yield version


def polls(crowd: Crowd, versions: Versions) -> Check:
    """Whoever asks some seconds after a write was answered reads what it wrote, or what came after it."""
    check = Check("polls that saw what had been written")
    written: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for change, number in versions.written(crowd.ledger.changes):
        pipeline = change.lines[0].pipeline_id if change.lines else ""
        newest = max(number, written[pipeline][-1][1] if written[pipeline] else 0)
        written[pipeline].append((change.answered_at, newest))
    for poller in crowd.pollers:
        for seen in poller.seen:
            lines = written[seen.pipeline_id]
            place = bisect_right(lines, seen.began - SEEN_WITHIN, key=lambda line: line[0])
            due = lines[place - 1][1] if place else 0
            check.that(seen.version >= due, f"{seen} is older than version {due}")
    return check


def processors(crowd: Crowd, scene: Scene) -> Check:
    """Each client runs in the end what was pinned, with what was written into revisions and parameters."""
    check = Check("configurations that processors end on")
    rows = Pipeline.objects.filter(organisation=scene.organisation, deleted_at=None).prefetch_related("pins")
    due = {pipeline.pk: _due(pipeline, scene) for pipeline in rows}
    for embedded in crowd.embedded:
        running = {config.pipeline_id: config for config in embedded.client.pipelines()}
        check.that(running.keys() == due.keys(), f"A processor runs {running.keys() ^ due.keys()} besides, or not.")
        check.that(embedded.client.status.trouble == "", embedded.client.status.trouble)
        for pipeline, config in running.items():
            here = {each.id: (each.revision_id, each.config) for each in config.integrations}
            check.that(here == due.get(pipeline), f"{pipeline} runs {here} and should run {due.get(pipeline)}")
    versions = crowd.follower.versions if crowd.follower else {}
    there = dict(rows.values_list("pk", "changed_in__number"))
    check.that(versions == there, f"Following the changes ends on {versions}, not on {there}")
    return check


def _due(pipeline: Pipeline, scene: Scene) -> dict[str, tuple[str, Any]]:
    """By pin, its revision and its config, put together from what clients sent and not by the product."""
    pins = [pin for pin in pipeline.pins.all() if pin.enabled and pipeline.enabled]
    values = scene.values.get(pipeline.pk, {})
    return {pin.pk: (pin.revision_id, _filled_in(scene.configs[pin.revision_id], values)) for pin in pins}


def _filled_in(config: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    whole = {f"{{{{pipeline_param.{key}}}}}": value for key, value in values.items()}
    return {field: whole.get(text, text) for field, text in config.items()}


def deliveries(crowd: Crowd) -> Check:
    """What processors counted, and told in reports beside everything else, adds up."""
    check = Check("delivery figures that add up")
    counted: Counter[tuple[str, str, str]] = Counter()
    for embedded in crowd.embedded:
        for (pin, revision), (delivered, failed) in embedded.delivered.items():
            counted[pin, revision, "delivered"] += delivered
            counted[pin, revision, "failed"] += failed
    figures = DeliveryFigure.objects.values_list("pin_id", "revision_id").annotate(Sum("delivered"), Sum("failed"))
    kept: Counter[tuple[str, str, str]] = Counter()
    for pin, revision, delivered, failed in figures:
        kept[pin, revision, "delivered"], kept[pin, revision, "failed"] = delivered, failed
    for key in counted.keys() | kept.keys():
        check.that(counted[key] == kept[key], f"{key}: {counted[key]} were counted, and {kept[key]} are kept")
    return check
