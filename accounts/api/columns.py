"""Objects that show columns as they are: read at once, where DRF would copy and ask one field after the other.

They say the same as a ModelSerializer with these fields does. Every field is text, a number, a flag or a time.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import serializers
from rest_framework.settings import api_settings

Shown = TypeVar("Shown", bound=Model)
AS_THEY_ARE = (serializers.CharField, serializers.IntegerField, serializers.BooleanField, serializers.ChoiceField)


class ColumnsObject(serializers.ModelSerializer[Shown]):
    def to_representation(self, instance: Any) -> dict[str, Any]:
        columns = columns_of(type(self))
        return columns.shown(columns.read(instance))


class Columns:
    def __init__(self, fields: Mapping[str, "serializers.Field[Any, Any, Any, Any]"]) -> None:
        self.names = list(fields)
        self.lookups = ["__".join(field.source_attrs) for field in fields.values()]
        self.read: Callable[[Any], Sequence[Any]] = attrgetter(*(str(field.source) for field in fields.values()))
        self._times = [name for name, field in fields.items() if isinstance(field, serializers.DateTimeField)]
        others = [name for name in fields if name not in self._times and not isinstance(fields[name], AS_THEY_ARE)]
        if others:
            raise TypeError(f"Not shown as they are: {', '.join(others)}. Use a ModelSerializer.")

    def shown(self, values: Sequence[Any]) -> dict[str, Any]:
        """The object of these values, which stand in the order of `lookups`."""
        shown = dict(zip(self.names, values, strict=True))
        for name in self._times:
            shown[name] = _written(shown[name])
        return shown


@lru_cache(maxsize=100)
def columns_of(kind: type[ColumnsObject[Any]]) -> Columns:
    return Columns(kind().fields)


def _written(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime(str(api_settings.DATETIME_FORMAT)) if moment else None
