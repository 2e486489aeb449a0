"""Log lines as JSON, each with the id of the request it belongs to, and none with what a client sent."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, InterfaceError, OperationalError

from config.rest.requests import REQUEST_ID, current_request_id

# Their messages speak of code, names and connections. Those of others may quote the value that broke them.
DISCREET = (
    AttributeError,
    ImportError,
    ImproperlyConfigured,
    IntegrityError,
    InterfaceError,
    NameError,
    OperationalError,
    OSError,
    TypeError,
)


class WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)  # Django's own records of a request come after it has ended
        known = current_request_id.get() or getattr(request, "META", {}).get(REQUEST_ID, "")
        record.request_id = known
        return True


class JsonLines(logging.Formatter):
    """One object a line. Of an exception its kind and its places: bodies, headers and values are never logged."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
        }
        if record.exc_info and (error := record.exc_info[1]):
            line["exception"] = _described(error)
            line["places"] = _places(error)
        return json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False)


def _described(error: BaseException) -> str:
    """The kind of an exception; its message only where that cannot hold a client's data, and of it only the first line:
    PostgreSQL quotes the whole row in the second."""
    kind = type(error).__qualname__
    lines = str(error).splitlines() if isinstance(error, DISCREET) else []
    return f"{kind}: {lines[0]}" if lines else kind


def _places(error: BaseException) -> list[str]:
    """Where it happened; first where its cause did, and what that was."""
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return [*_places(inner), _described(inner), *places] if inner else places
