"""Pages of long lists: the ids of a page first, then its rows, so that the last page costs about what the first does."""

from typing import Any

from django.core.paginator import Page, Paginator


class IdsFirst(Paginator):  # type: ignore[type-arg]  # the class takes no parameters at run time
    def page(self, number: Any) -> "Page[Any]":
        """The rows of this page in the list's order; joins and annotations are made for them alone."""
        checked = self.validate_number(number)
        bottom = (checked - 1) * self.per_page
        rows: Any = self.object_list
        ids = list(rows.values_list("pk", flat=True)[bottom : bottom + self.per_page])
        return Page(rows.filter(pk__in=ids), checked, self)
