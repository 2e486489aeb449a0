"""The roles as permission classes; each asks the one rule in `accounts.roles`."""

from typing import TYPE_CHECKING, ClassVar

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.api.authentication import actor_of
from accounts.roles import Role, allows

if TYPE_CHECKING:
    from rest_framework.views import APIView


class RolePermission(BasePermission):
    """Reading, writing and deleting each take a role; a subclass says which."""

    reads: ClassVar[Role]
    writes: ClassVar[Role]
    deletes: ClassVar[Role]

    @classmethod
    def needed(cls, method: str) -> Role:
        """The role that a request of this method takes."""
        if method in SAFE_METHODS:
            return cls.reads
        return cls.deletes if method == "DELETE" else cls.writes

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return allows(actor_of(request).role, self.needed(request.method or ""))


class IsViewer(RolePermission):
    reads = writes = deletes = Role.VIEWER


class IsEditor(RolePermission):
    reads = writes = deletes = Role.EDITOR


class IsAdmin(RolePermission):
    reads = writes = deletes = Role.ADMIN


class IsProcessor(RolePermission):
    reads = writes = deletes = Role.PROCESSOR


class ViewerReadsEditorWrites(RolePermission):
    reads = Role.VIEWER
    writes = deletes = Role.EDITOR


class ViewerReadsEditorWritesAdminDeletes(RolePermission):
    reads = Role.VIEWER
    writes = Role.EDITOR
    deletes = Role.ADMIN
