"""Query parameters, read strictly: an unknown, a repeated or an empty one is refused, never passed over."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from django import forms
from django.http import QueryDict
from django_filters import FilterSet

from accounts.errors import Detail, Malformed

OF_WRITES = ("dry_run",)
OF_PAGES = ("limit", "cursor")


def require_known(query: QueryDict, known: Collection[str], repeatable: Collection[str] = ()) -> None:
    """Raises Malformed, which names each parameter at fault and for an unknown one the nearest that is known."""
    details = [detail for name, values in query.lists() for detail in _problems(name, values, known, repeatable)]
    if details:
        raise Malformed(details[0].message, details)


def repeatable_filters(filters: type[FilterSet]) -> set[str]:
    """The filters that may be given more than once."""
    multiple = forms.MultipleHiddenInput, forms.SelectMultiple
    return {name for name, each in filters.base_filters.items() if isinstance(each.field.widget, multiple)}


def _problems(name: str, values: list[str], known: Collection[str], repeatable: Collection[str]) -> Iterator[Detail]:
    if name not in known:
        yield Detail(
            name[:64], "unknown_filter", f"There is no query parameter named {name[:64]!a}. {_hint(name, known)}"
        )
    elif len(values) > 1 and name not in repeatable:
        yield Detail(name, "repeated", f"{name} stands more than once in the address. Give it once.")
    elif not all(values):
        yield Detail(name, "empty", f"{name} is empty. Give it a value, or leave it out.")


def _hint(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Known here: {', '.join(sorted(known))}." if known else "This address takes none."
