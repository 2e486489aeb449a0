"""What a rule says when it refuses: a sentence for people, a code for programs, and the fields at fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default
from typing import Any


@dataclass(frozen=True)
class Detail:
    """One thing wrong with one field.

    `field` names it as the caller wrote it (`revision_id`, `config/pixel_id`); `extra` holds further facts for
    programs, such as `pointer` and `offset`, and never a secret.
    """

    field: str
    code: str
    message: str
    extra: Mapping[str, Any] = with_default(default_factory=dict)


class Refused(Exception):
    """A change or a question that a rule does not allow. Nothing has been kept of it."""

    code = "VALIDATION_ERROR"

    def __init__(self, message: str, details: Sequence[Detail] = (), *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        if code is not None:
            self.code = code


class Malformed(Refused):
    """The request cannot be read as what it should be."""

    code = "BAD_REQUEST"


class Invalid(Refused):
    """The request can be read, and what it asks for breaks a rule."""

    @classmethod
    def because(cls, field: str, code: str, message: str, **extra: Any) -> "Invalid":
        return cls(message, [Detail(field, code, message, extra)])


class PreflightFailed(Invalid):
    """What would run cannot be resolved; `details` lists every reason."""

    code = "PREFLIGHT_FAILED"


class Conflict(Refused):
    """The request is right in itself, and the present state does not allow it."""

    code = "CONFLICT"


class NotFound(Refused):
    """No such object in the actor's organisation."""

    code = "NOT_FOUND"


class Gone(Refused):
    """What is asked for was here once, and is not kept any more."""

    code = "GONE"


class Forbidden(Refused):
    """The actor's role does not allow this."""

    code = "FORBIDDEN"


class Stale(Refused):
    """The object is no longer the one the caller saw; `current` is what it is now."""

    code = "PRECONDITION_FAILED"

    def __init__(self, message: str, current: object) -> None:
        super().__init__(message)
        self.current = current


class Unauthenticated(Refused):
    """The credentials are missing, wrong or expired."""

    code = "INVALID_TOKEN"


class TooManyAttempts(Refused):
    """Come back later: `retry_after` is in whole seconds."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after: int, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(Refused):
    """Nothing is wrong with the request; it cannot be answered just now."""

    code = "UNAVAILABLE"


class ServedElsewhere(Refused):
    """The address is right, and this process is not the one that answers it."""

    code = "NOT_SERVED_HERE"
