"""Revisions over REST: listed, created, read, and their status set; never changed, never deleted."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites
from accounts.errors import NotFound
from integrations.api.serializers import CreatedRevisionObject, RevisionCreateBody, RevisionObject, StatusBody
from integrations.models import Revision, Template
from integrations.revisions import create_revision, find_revision, set_status
from integrations.templates import MISSING


class RevisionEndpoint(Endpoint):
    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class: type[BaseSerializer[Any]] = RevisionObject
    list_name = "revisions"
    ordering: ClassVar[tuple[str, ...]] = ("-number",)

    def get_queryset(self) -> QuerySet[Any]:
        return Revision.objects.filter(template=self.template()).with_status()

    def template(self) -> Template:
        """The template of the address. Raises NotFound."""
        templates = Template.objects.in_organisation(self.actor.organisation_id)
        template = templates.filter(pk=self.kwargs["template_id"]).first()
        if template is None:
            raise NotFound(MISSING)
        return template

    def found(self) -> Revision:
        return find_revision(self.template(), self.kwargs["id"])

    @extend_schema(request=RevisionCreateBody, responses={201: CreatedRevisionObject})
    def create(self, request: Request, template_id: str) -> Response:
        body = self.read_body(RevisionCreateBody)
        created = create_revision(actor=self.actor, template_id=template_id, **body)
        created.revision.warnings = created.warnings  # type: ignore[attr-defined]  # shown once, kept nowhere
        shown = CreatedRevisionObject(created.revision).data
        return Response(shown, status=201, headers={"ETag": self.etag(created.revision)})

    @extend_schema(request=StatusBody, responses={200: RevisionObject})
    def set_status(self, request: Request, template_id: str, id: str) -> Response:
        body = self.read_body(StatusBody)
        revision = set_status(actor=self.actor, template_id=template_id, revision=id, expected=self.expected, **body)
        return self.answer(revision)
