"""From one day to another, both included, in UTC: how lists of the console are narrowed to a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date

NAMES = ("since", "until")
UNREADABLE = "Write a day such as 2026-02-20. What cannot be read is left out."


@dataclass(frozen=True)
class Days:
    """The first and the last day that are wanted, or None for no end."""

    since: date | None
    until: date | None
    unreadable: bool = False

    @classmethod
    def read(cls, texts: Mapping[str, Any]) -> "Days":
        """`since` and `until` as an address has them; what cannot be read is left out."""
        days = {name: _day(str(texts[name])) for name in NAMES if texts.get(name)}
        return cls(days.get("since"), days.get("until"), None in days.values())

    def of(self, rows: QuerySet[Any], column: str) -> QuerySet[Any]:
        """Those of the rows whose time lies within."""
        if self.since:
            rows = rows.filter(**{f"{column}__gte": _midnight(self.since)})
        if self.until and self.until < date.max:  # no day follows the last one, and nothing is later
            rows = rows.filter(**{f"{column}__lt": _midnight(self.until) + timedelta(days=1)})
        return rows


class DayFilter(admin.ListFilter):
    """The days stay in the address, like every other filter."""

    title = "day"
    template = "console/days.html"
    names: ClassVar[tuple[str, ...]] = NAMES
    column: ClassVar[str] = "created_at"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in NAMES:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]
        self.days = Days.read(self.used_parameters)
        if self.days.unreadable:
            messages.error(request, UNREADABLE)

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(NAMES)

    def choices(self, changelist: Any) -> Iterator[Any]:
        """One choice: the form, with everything else that the address says."""
        others = [
            (name, value) for name, values in changelist.filter_params.items() if name not in NAMES for value in values
        ]
        days = {name: self.used_parameters.get(name, "") for name in NAMES}
        clear = changelist.get_query_string(remove=list(NAMES)) if any(days.values()) else ""
        yield {"others": others, "clear": clear, **days}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.days.of(queryset, self.column)


class ChangedFilter(DayFilter):
    """By the day of the last change."""

    title = "last change"
    column = "updated_at"


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
