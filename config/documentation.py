"""The OpenAPI description as the repository keeps it (`make schema` writes it), and the pages that show it."""

from hashlib import sha256
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe
from drf_spectacular.views import SpectacularSwaggerSplitView

OPENAPI = Path(__file__).with_name("openapi.json")


def _etag(_: HttpRequest) -> str:
    return f'"{sha256(OPENAPI.read_bytes()).hexdigest()[:32]}"'


@csrf_exempt
@require_safe
@cache_control(no_cache=True)
@condition(etag_func=_etag)
def openapi(_: HttpRequest) -> HttpResponse:
    """Served as it is: making it anew takes a second, and nobody has logged in yet."""
    return HttpResponse(OPENAPI.read_bytes(), content_type="application/json")


docs = SpectacularSwaggerSplitView.as_view(url_name="openapi")
