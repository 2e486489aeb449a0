"""A JSON document in a column of text, so that either database gives back exactly what was put in."""

import json
from typing import Any

from django.db import models


class DocumentField(models.TextField):  # type: ignore[type-arg]  # the class takes no parameters at run time
    """PostgreSQL's own jsonb would make 1e300 an integer and -0.0 a 0, and put the keys in an order of its own."""

    _pyi_private_set_type: Any  # where the stubs look up what such a field takes and gives
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))
