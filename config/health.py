"""Whether this process lives, and whether it can serve."""

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.lately import Lately
from pipelines.keys import lost_keys

SECRETS_SECONDS = 30.0  # so long it is believed that the key ring opens what is in the database


lost = Lately(lost_keys, SECRETS_SECONDS)


class LifeObject(serializers.Serializer[None]):
    status = serializers.ChoiceField(choices=["ok"])


class ReadinessObject(serializers.Serializer[None]):
    status = serializers.ChoiceField(choices=["ok", "unavailable"])
    database = serializers.ChoiceField(choices=["ok", "unreachable", "migrations pending"])
    key_ring = serializers.ChoiceField(choices=["ok", "missing"])
    secrets = serializers.ChoiceField(choices=["ok", "unreadable", "unknown"])


class HealthEndpoint(APIView):
    """Open to everybody: it tells nothing but whether."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    metadata_class = None


class Live(HealthEndpoint):
    """The process answers; nothing else is asked."""

    @extend_schema(responses={200: LifeObject})
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Ready(HealthEndpoint):
    """The database answers, its migrations are those of this build, and the key ring opens the secrets in it."""

    @extend_schema(responses={200: ReadinessObject, 503: ReadinessObject})
    def get(self, request: Request) -> Response:
        database = _database()
        checks = {
            "database": database,
            "key_ring": "ok" if settings.PINION_SECRET_KEYS else "missing",
            "secrets": _secrets() if database == "ok" else "unknown",
        }
        ready = all(answer == "ok" for answer in checks.values())
        return Response({"status": "ok" if ready else "unavailable", **checks}, status=200 if ready else 503)


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return "unreachable"
    return "migrations pending" if pending else "ok"


def _secrets() -> str:
    try:
        return "unreadable" if lost() and not settings.ACCEPT_LOST_SECRETS else "ok"
    except Error:
        return "unknown"
