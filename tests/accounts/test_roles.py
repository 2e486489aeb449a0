"""The one rule of who may do what."""

import pytest

from accounts.api.permissions import (
    IsAdmin,
    IsEditor,
    IsProcessor,
    IsViewer,
    RolePermission,
    ViewerReadsEditorWrites,
    ViewerReadsEditorWritesAdminDeletes,
)
from accounts.roles import Role, allows

ALLOWED = {
    ("viewer", "viewer"),
    ("editor", "viewer"),
    ("editor", "editor"),
    ("admin", "viewer"),
    ("admin", "editor"),
    ("admin", "admin"),
    ("processor", "processor"),
}


def test_each_role_may_what_the_ones_below_it_may_and_a_processor_only_its_own() -> None:
    assert {(held.value, needed.value) for held in Role for needed in Role if allows(held, needed)} == ALLOWED


def test_a_role_that_nobody_has_may_nothing() -> None:
    assert [needed for needed in Role if allows("owner", needed) or allows("", needed)] == []


@pytest.mark.parametrize(
    ("permission", "reads", "writes", "deletes"),
    [
        (IsViewer, "viewer", "viewer", "viewer"),
        (IsEditor, "editor", "editor", "editor"),
        (IsAdmin, "admin", "admin", "admin"),
        (IsProcessor, "processor", "processor", "processor"),
        (ViewerReadsEditorWrites, "viewer", "editor", "editor"),
        (ViewerReadsEditorWritesAdminDeletes, "viewer", "editor", "admin"),
    ],
)
def test_each_permission_asks_for_a_role_by_method(
    permission: type[RolePermission], reads: str, writes: str, deletes: str
) -> None:
    needed = {
        method: permission.needed(method) for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
    }
    assert needed == {
        **dict.fromkeys(("GET", "HEAD", "OPTIONS"), reads),
        **dict.fromkeys(("POST", "PUT", "PATCH"), writes),
        "DELETE": deletes,
    }
