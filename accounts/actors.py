"""Who acts: every change names one, whether it came by the console, by REST or by a command."""

from dataclasses import dataclass
from enum import StrEnum

from accounts.roles import Role


class ActorType(StrEnum):
    USER = "user"
    TOKEN = "token"  # noqa: S105  # a kind of actor, no secret
    OPERATOR = "operator"  # a person at the command line, known by the name the operating system gives
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Someone acting in one organisation, with the facts that history and audit keep of them.

    `label` is copied into every row, so that it still reads right when the user is renamed or gone.
    """

    type: ActorType
    id: str
    label: str
    organisation_id: str
    role: Role
    request_id: str = ""
    ip_address: str | None = None
