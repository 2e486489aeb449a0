"""What the fields of a row allow, said as a refusal; whichever door the value came by."""

from django.core.exceptions import ValidationError
from django.db.models import Model

from accounts.errors import Detail, Invalid


def require_valid(row: Model, *fields: str) -> None:
    """Raises Invalid with every complaint about these fields: blank, too long, not an email."""
    others = {field.name for field in row._meta.fields} - set(fields)
    try:
        row.clean_fields(exclude=others)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Invalid:
    details = [
        Detail(name, complaint.code or "invalid", " ".join(complaint.messages))
        for name, complaints in error.error_dict.items()
        for complaint in complaints
    ]
    return Invalid(f"{details[0].field}: {details[0].message}", details)
