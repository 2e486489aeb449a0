"""The one rule of who may do what: viewer < editor < admin, and a processor apart from them all."""

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    PROCESSOR = "processor"


LADDER = (Role.VIEWER, Role.EDITOR, Role.ADMIN)


def allows(held: str, needed: Role) -> bool:
    """Whether someone who holds one role may do what takes another; a processor is on no rung of the ladder."""
    if needed not in LADDER or held not in LADDER:
        return held == needed
    return LADDER.index(Role(held)) >= LADDER.index(needed)
