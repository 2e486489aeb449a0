"""The runtime feed as the address map and the OpenAPI description know it; what answers is `pipelines.feed.serving`."""

from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.permissions import IsProcessor
from accounts.errors import ServedElsewhere
from pipelines.api.feed_schemas import CHANGES, EVENTS, LINES, PIPELINE
from pipelines.feed.reading import BATCH
from pipelines.feed.serving.addresses import ABOUT_CHANGES, MOST

ELSEWHERE = (
    "The runtime feed is served by Pinion under an ASGI server, and this process is none. Ask the one that runs "
    "uvicorn config.asgi:application, or have the proxy in front send /v1/runtime/ there."
)
HEADER: Final = "header"
WITH_TAG = [
    OpenApiParameter("If-None-Match", str, HEADER, description="The ETag you have: 304 if it is still so."),
    OpenApiParameter("ETag", str, HEADER, description="`EPOCH.VERSION` of the pipeline.", response=[200, 304]),
]
ABOUT = {
    "since": OpenApiParameter("since", {"type": "integer", "minimum": 0}, required=True, description="What you have."),
    "epoch": OpenApiParameter("epoch", str, description="The epoch of what you have: 410 where it is another now."),
    "after": OpenApiParameter("after", str, description="As the answer before gave it, to go on inside of a version."),
    "limit": OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": BATCH},
        description="How many pipelines an answer holds at most; a page of large ones holds fewer.",
    ),
}
LAST_EVENT_ID = OpenApiParameter("Last-Event-ID", str, HEADER, description="The last event you saw.")


class FeedEndpoint(Endpoint):
    """What processors load, secrets in plain."""

    permission_classes = (IsProcessor,)
    pagination_class = None
    parameters = {"changes": ABOUT_CHANGES}

    @extend_schema(
        responses={200: PIPELINE, 304: OpenApiResponse(description="You have this already."), 501: None},
        parameters=WITH_TAG,
    )
    def pipeline(self, request: Request, name: str) -> Response:
        """What one pipeline runs, by its id or its key: its enabled integrations with every parameter filled in."""
        raise ServedElsewhere(ELSEWHERE)

    @extend_schema(responses={(200, "application/x-ndjson"): LINES, 501: None})
    def snapshot(self, request: Request) -> Response:
        """Everything at one version, a JSON object a line: where the organisation stands, every pipeline in the order of
        the ids, and in the last line how many there were. Without that line it is not whole."""
        raise ServedElsewhere(ELSEWHERE)

    @extend_schema(responses={200: CHANGES, 410: None, 501: None}, parameters=list(ABOUT.values()))
    def changes(self, request: Request) -> Response:
        """Every pipeline that changed after a version, as it is now, and those removed, in the order of the versions.

        Ask again with `since` = `to_version`, and `after` where there is one, while `has_more`.
        """
        raise ServedElsewhere(ELSEWHERE)

    @extend_schema(responses={(200, "text/event-stream"): EVENTS, 501: None}, parameters=[LAST_EVENT_ID])
    def stream(self, request: Request) -> Response:
        """Server-sent events: the newest version, at once and whenever it moves. A hint to fetch changes, never the only
        way to learn of one; a comment comes when nothing else does."""
        raise ServedElsewhere(ELSEWHERE)

    def get_serializer_class(self) -> Any:
        """None: what is sent is put together elsewhere."""
        return None
