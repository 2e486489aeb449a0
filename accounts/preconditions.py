"""What an object looked like to someone: the tag by which a change is refused if the object has moved on since."""

from typing import Protocol

from accounts.errors import Stale


class Tagged(Protocol):
    """Anything with a `tag`: text that is new whenever what a client sees of the object is new."""

    @property
    def tag(self) -> str: ...


def require_unchanged(current: Tagged, expected: str | None) -> None:
    """Refuse when the caller says what they saw and it is not what stands; call it under the object's lock.

    `expected` is an `If-Match` value: one or more quoted tags, or `*`. Raises Stale.
    """
    if expected is None or expected.strip() == "*":
        return
    seen = {tag.strip().strip('"') for tag in expected.split(",")}
    if current.tag not in seen:
        raise Stale("Someone changed this since you read it. Read it again, then repeat your change.", current)
