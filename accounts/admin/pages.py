"""Pages of long lists, made so that the last one costs about what the first does."""

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import QueryDict


class IdsFirst(Paginator):  # type: ignore[type-arg]  # the class takes no parameters at run time
    """Numbered pages: the ids of a page first, then its rows."""

    def page(self, number: Any) -> "Page[Any]":
        """The rows of this page in the list's order; joins and annotations are made for them alone."""
        checked = self.validate_number(number)
        bottom = (checked - 1) * self.per_page
        rows: Any = self.object_list
        ids = list(rows.values_list("pk", flat=True)[bottom : bottom + self.per_page])
        return Page(rows.filter(pk__in=ids), checked, self)


@dataclass(frozen=True)
class Stretch:
    """A page without a number, newest first: its rows, and the addresses of what lies before and after, if anything."""

    rows: list[Any]
    newer: str
    older: str


def stretch(rows: QuerySet[Any], asked: QueryDict, size: int) -> Stretch:
    """The rows before or after the one that the address names in `before` or `after`; else the newest."""
    before, after = (_number(asked.get(name, "")) for name in ("before", "after"))
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: size + 1])
        shown = found[:size][::-1]
        more_newer, more_older = len(found) > size, True
    else:
        found = list((rows.filter(pk__lt=before) if before is not None else rows).order_by("-pk")[: size + 1])
        shown = found[:size]
        more_newer, more_older = before is not None, len(found) > size
    return Stretch(
        shown,
        _address(asked, "after", shown[0].pk) if shown and more_newer else "",
        _address(asked, "before", shown[-1].pk) if shown and more_older else "",
    )


def _address(asked: QueryDict, name: str, key: int) -> str:
    copy = asked.copy()
    for other in ("before", "after"):
        copy.pop(other, None)
    copy[name] = str(key)
    return f"?{copy.urlencode()}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
