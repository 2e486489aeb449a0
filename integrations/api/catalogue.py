"""The catalogue over REST: the vendors this build knows, and installing one."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites
from accounts.errors import NotFound
from integrations.api.serializers import InstallBody, InstalledObject, VendorObject
from integrations.revisions import install
from integrations.vendors import VENDORS


class CatalogueEndpoint(Endpoint):
    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = VendorObject
    list_name = "vendors"
    lookup_url_kwarg = "vendor"
    pagination_class: ClassVar[None] = None

    @extend_schema(responses={200: VendorObject(many=True)})
    def list(self, request: Request) -> Response:  # type: ignore[override]  # this address has no parts
        return Response({"vendors": VendorObject(VENDORS.values(), many=True).data})

    @extend_schema(responses={200: VendorObject})
    def retrieve(self, request: Request, vendor: str) -> Response:  # type: ignore[override]  # one part, by its name
        if vendor not in VENDORS:
            raise NotFound("There is no such vendor in the catalogue. See /v1/admin/integration-catalog.")
        return Response(VendorObject(VENDORS[vendor]).data)

    @extend_schema(request=InstallBody, responses={201: InstalledObject})
    def install(self, request: Request, vendor: str) -> Response:
        body = self.read_body(InstallBody)
        template, created = install(actor=self.actor, vendor=vendor, **body)
        template.latest_revision_id = created.revision.pk  # type: ignore[attr-defined]  # as `with_latest` annotates it
        shown = InstalledObject({"template": template, "revision": created.revision, "warnings": created.warnings}).data
        return Response(shown, status=201)
