"""Filters that more than one list has."""

from datetime import datetime
from typing import Any

import django_filters
from django import forms
from drf_spectacular.utils import extend_schema_field

from accounts.moments import read_moment


class MomentField(forms.CharField):
    """A time with its zone, such as 2026-02-20T10:00:00Z."""

    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        if not text:
            return None
        moment = read_moment(text)
        if moment is None:
            raise forms.ValidationError("Write a time such as 2026-02-20T10:00:00Z.", code="invalid_time")
        return moment


@extend_schema_field({"type": "string", "format": "date-time", "description": "From this time on."})
class Since(django_filters.Filter):
    field_class = MomentField

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name=field_name, lookup_expr="gte")


@extend_schema_field({"type": "string", "format": "date-time", "description": "Before this time."})
class Until(django_filters.Filter):
    field_class = MomentField

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name=field_name, lookup_expr="lt")


class FlagField(forms.CharField):
    def clean(self, value: Any) -> bool | None:
        text = super().clean(value).lower()
        if text in ("", "true", "false"):
            return None if text == "" else text == "true"
        raise forms.ValidationError("Write true or false.", code="not_a_flag")


@extend_schema_field(bool)
class FlagFilter(django_filters.Filter):
    """true or false; anything else is an error, not “no filter”."""

    field_class = FlagField
