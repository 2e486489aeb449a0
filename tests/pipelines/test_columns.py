from typing import Any

import pytest
from rest_framework import serializers

from accounts.api.columns import ColumnsObject, columns_of
from accounts.api.serializers import UserObject
from accounts.models import Organisation, User
from pipelines.api.serializers import PinObject
from pipelines.models import Pin
from tests.factories import PinFactory, TemplateFactory, UserFactory


class NestedObject(ColumnsObject[User]):
    organisation = serializers.DictField()

    class Meta:
        model = User
        fields = ("id", "organisation")


def in_djangos_way(kind: type[ColumnsObject[Any]], row: Any) -> Any:
    return super(ColumnsObject, kind()).to_representation(row)


def test_an_object_of_columns_is_what_rest_framework_makes_of_its_fields(organisation: Organisation) -> None:
    template = TemplateFactory(organisation=organisation, revisions=3)
    pin = PinFactory(organisation=organisation, template=template, number=2, enabled=False)
    user = UserFactory(organisation=organisation, name="Ümit “U” <b>")
    for kind, row in ((PinObject, pin), (UserObject, user)):
        shown = kind(row).data
        assert dict(shown) == in_djangos_way(kind, row)
        assert list(shown) == list(kind().fields)


def test_the_object_is_the_same_straight_off_the_database(organisation: Organisation) -> None:
    pins = [PinFactory(organisation=organisation) for _ in range(2)]
    columns = columns_of(PinObject)
    rows = Pin.objects.order_by("pk").values_list(*columns.lookups)
    assert [columns.shown(row) for row in rows] == [
        in_djangos_way(PinObject, pin) for pin in sorted(pins, key=lambda pin: str(pin.pk))
    ]


def test_a_field_that_is_more_than_a_column_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Not shown as they are: organisation\. Use a ModelSerializer\.$"):
        columns_of(NestedObject)
