"""Bodies: JSON objects in, JSON out, and nothing in them read in two ways."""

import json
import re
from collections.abc import Iterable, Mapping
from math import isinf
from typing import IO, Any, NoReturn

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from accounts.errors import Detail, Malformed

NOT_TEXT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
DEEPEST = 64  # twice what a config may be; far from what would exhaust the parser


class StrictJSONParser(BaseParser):
    """Refuses what JSON parsers differ on: duplicate keys, NaN and Infinity, a body that is not an object."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return parse_object(stream.read())


class AlwaysJSON(BaseContentNegotiation):
    """Every answer is JSON, whatever a client says it accepts; the body's own type must be JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next(iter(parsers)) if media_type in ("", "application/json") else None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or "application/json"


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in this body. Raises Malformed, which names a duplicate key or says where reading stopped."""
    try:
        text = body.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8. Send JSON encoded as UTF-8.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"The body is not valid JSON: {error.msg} at {place}.") from None
    except RecursionError:
        raise Malformed(f"The body is nested too deep. At most {DEEPEST} levels are read.") from None
    except ValueError:  # Python's own limit on the digits of one integer
        raise Malformed("The body holds a number that is too long to be read.") from None
    if not isinstance(value, dict):
        raise Malformed('The body must be a JSON object, such as {"name": "…"}.')
    if _too_deep(value):
        raise Malformed(f"The body is nested too deep. At most {DEEPEST} levels are read.")
    if NOT_TEXT.search(text):
        _refuse_what_is_no_text(value)
    return value


def _refuse_what_is_no_text(value: dict[str, Any]) -> None:
    """Neither a NUL nor half a surrogate pair can be stored or sent on."""
    try:
        whole = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("The body holds half a surrogate pair (such as \\ud800), which is no character.") from None
    if b"\\u0000" in whole.replace(rb"\\", b""):
        raise Malformed("The body holds a NUL character (\\u0000). Take it out.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            name = key[:64].encode(errors="replace").decode()  # a lone surrogate could not be answered
            message = f"The key {name!a} stands twice in one object. Send it once."
            raise Malformed(message, [Detail(name, "duplicate_key", message)])
        value[key] = item
    return value


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON. Send a number, a string or null."
    raise Malformed(message, [Detail(name, "not_json", message)])


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise Malformed("The body holds a number that is too large to be read.")
    return number


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
