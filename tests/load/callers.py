"""Somebody who sends requests, and notes every answer."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpx

from tests.load.ledger import Answer, Ledger, Line

PATIENCE = 30.0  # seconds after which an answer is given up, which is an error
GIVEN_UP_AFTER = 0.004  # seconds after which an impatient client hangs up, before most writes are answered
AGAIN = 0.1  # seconds until a client asks once more whether its first request is done
ANSWERED = (200, 201, 204, 302, 304)

Lines = Callable[[Any], Iterable[Line]]


def no_lines(_: Any) -> Iterable[Line]:
    """Of what changes nothing that runs."""
    return ()


class Surprise(Exception):
    """An answer that nobody expected; it is in the ledger already."""


class Caller:
    """One client of one server, with a bearer."""

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, bearer: str) -> None:
        self.http = http
        self.ledger = ledger
        self.bearer = bearer

    async def ask(
        self, kind: str, method: str, path: str, *, body: Any = None, allowed: Collection[str] = (), **headers: str
    ) -> httpx.Response:
        """The answer, if it is a success or a refusal of an `allowed` code. Raises Surprise."""
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        if self.bearer:
            named["Authorization"] = f"Bearer {self.bearer}"
        began = time.monotonic()
        try:
            answer = await self.http.request(method, path, json=body, headers=named)
        except httpx.HTTPError as error:
            self._note(kind, 0, type(error).__name__, began)
            raise self._surprise(f"{kind}: {error!r}") from None
        code = "" if answer.status_code in ANSWERED else code_of(answer)
        self._note(kind, answer.status_code, code, began)
        if code and code not in allowed:
            raise self._surprise(f"{kind}: {answer.status_code} {answer.text[:500]}")
        return answer

    async def change(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        actions: Iterable[str],
        lines: Lines = no_lines,
        allowed: Collection[str] = (),
        **headers: str,
    ) -> Any:
        """What a write answers, None where it was refused; either is noted, to be looked up at the end."""
        request_id = self.ledger.new_request_id()
        headers["X_Request_ID"] = request_id
        answer = await self.ask(kind, method, path, body=body, allowed=allowed, **headers)
        if not answer.is_success:
            self.ledger.nothing.add(request_id)
            return None
        said = answer.json()
        self.ledger.done([request_id], actions, lines(said))
        return said

    async def change_once(
        self, kind: str, path: str, *, body: Any, actions: Iterable[str], lines: Lines = no_lines, hangs_up: bool
    ) -> Any:
        """The same with an Idempotency-Key, sent until there is an answer: by one who hangs up and asks again, or by two
        at the same moment."""
        key = self.ledger.new_request_id()
        tried: list[str] = []
        first = await (self._hang_up if hangs_up else self._send_twice)(kind, path, body, key, tried)
        answer = first or await self._ask_again(kind, path, body, key, tried)
        again = await self._try(kind, path, body, key, tried)
        same = again.json() == answer.json() and again.headers.get("Idempotent-Replayed") == "true"
        if not same:
            self.ledger.surprise(
                f"{kind}: the key {key} was answered with {answer.text[:200]}, then {again.text[:200]}"
            )
        self.ledger.replayed += 1
        self.ledger.done(tried, actions, lines(answer.json()))
        return answer.json()

    async def _try(self, kind: str, path: str, body: Any, key: str, tried: list[str]) -> httpx.Response:
        tried.append(self.ledger.new_request_id())
        headers = {"X_Request_ID": tried[-1], "Idempotency_Key": key}
        return await self.ask(kind, "POST", path, body=body, allowed=["STILL_RUNNING"], **headers)

    async def _ask_again(self, kind: str, path: str, body: Any, key: str, tried: list[str]) -> httpx.Response:
        while True:
            answer = await self._try(kind, path, body, key, tried)
            if answer.is_success:
                return answer
            await asyncio.sleep(AGAIN)

    async def _send_twice(self, kind: str, path: str, body: Any, key: str, tried: list[str]) -> httpx.Response | None:
        both = await asyncio.gather(*(self._try(kind, path, body, key, tried) for _ in range(2)))
        return next((answer for answer in both if answer.is_success), None)

    async def _hang_up(self, kind: str, path: str, body: Any, key: str, tried: list[str]) -> httpx.Response | None:
        try:
            async with asyncio.timeout(GIVEN_UP_AFTER):
                return await self._try(kind, path, body, key, tried)
        except TimeoutError:
            self.ledger.given_up += 1
            return None

    def _surprise(self, sentence: str) -> Surprise:
        self.ledger.surprise(sentence)
        return Surprise(sentence)

    def _note(self, kind: str, status: int, code: str, began: float) -> None:
        self.ledger.answers.append(Answer(kind, status, code, began, time.monotonic() - began))


def code_of(answer: httpx.Response) -> str:
    """Of an error in its one shape."""
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "no error of ours"
