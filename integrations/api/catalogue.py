"""The catalogue over REST: the vendors this build knows, and installing one."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import ViewerReadsEditorWrites
from accounts.errors import NotFound
from integrations.api.serializers import CatalogueObject, InstallBody, InstalledObject, VendorObject
from integrations.revisions import UNKNOWN, install
from integrations.vendors import VENDORS


class CatalogueEndpoint(Endpoint):
    permission_classes = (ViewerReadsEditorWrites,)
    serializer_class = VendorObject
    list_name = "vendors"
    lookup_url_kwarg = "vendor"
    pagination_class = None

    @extend_schema(responses={200: CatalogueObject})
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        shown = {"vendors": list(VENDORS.values()), "next_cursor": None, "has_more": False}
        return Response(CatalogueObject(shown).data)

    @extend_schema(responses={200: VendorObject})
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        vendor = VENDORS.get(kwargs["vendor"])
        if vendor is None:
            raise NotFound(UNKNOWN)
        return Response(VendorObject(vendor).data)

    @extend_schema(request=InstallBody, responses={201: InstalledObject})
    def install(self, request: Request, vendor: str) -> Response:
        body = self.read_body(InstallBody)
        template, created = install(actor=self.actor, vendor=vendor, **body)
        template.latest_revision_id = created.revision.pk  # type: ignore[attr-defined]  # as `with_latest` annotates it
        shown = InstalledObject({"template": template, "revision": created.revision, "warnings": created.warnings}).data
        return Response(shown, status=201)
