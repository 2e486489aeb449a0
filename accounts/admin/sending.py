"""Sending a form of the console: what it asks for is done once, and only if its page was made for who sends it.

Every form that writes carries a key. A form without a good one changes nothing: it is shown again with what was typed.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import salted_hmac

from accounts.admin.console import actor_of, organisation_id_of, signed_in, told
from accounts.errors import Conflict
from accounts.once import SentAlready, do_once, sweep_used_keys

FIELD = "form_key"
SALT = "pinion.form"
OPEN_FOR = 12 * 60 * 60  # seconds; a used key is remembered for twice as long
UNSAID = (FIELD, "csrfmiddlewaretoken")
RETURNED = "pinion.form_returned"  # in the request's facts: the form was kept while its person logged in again
TOO_OLD = "This form was open for too long, so nothing has been changed. Look it over, and send it again."
ELSEWHERE = "This form was opened by somebody else or in another organisation, so nothing has been changed."
LOOK_AGAIN = "You are logged in again, and nothing has been changed. Look over what you sent, and send it again."


@dataclass(frozen=True)
class Done:
    """What a form has done: where that leads, what is said of it, and what about it is unusual."""

    address: str
    said: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FormKey:
    """For whom a form was made, and what tells it from every other form."""

    user_id: str
    organisation_id: str
    nonce: str


def new_form_key(request: HttpRequest) -> str:
    """For each page anew: its form may act once, for this person in this organisation, within half a day."""
    facts = [signed_in(request).pk, organisation_id_of(request), secrets.token_urlsafe(12)]
    return signing.dumps(facts, salt=SALT)


def key_in(text: str, *, max_age: int | None = OPEN_FOR) -> FormKey | None:
    """The key that a form was sent with; None for one that is not ours or too old."""
    try:
        return FormKey(*signing.loads(text, salt=SALT, max_age=max_age))
    except (signing.BadSignature, ValueError, TypeError):
        return None


def acts(request: HttpRequest) -> bool:
    """Whether this is a form that may act; if it was sent and may not, a message says why."""
    if request.method != "POST":
        return False
    refusal = _refusal(request)
    if refusal and not request.META.get(RETURNED):  # which has been said already
        messages.warning(request, refusal)
    return refusal is None


def settle(request: HttpRequest, change: Callable[[], Done]) -> HttpResponseRedirect:
    """Do what the form asks for, say so, and lead on; sent a second time, it leads to where it led the first time.

    For a form that `acts`. Raises Refused, and the form may be sent again.
    """
    done = []

    def address() -> str:
        done.append(change())
        return done[0].address

    try:
        where = do_once(actor=actor_of(request), **spent(request), change=address)
    except SentAlready as earlier:
        messages.info(request, earlier.message)
        return HttpResponseRedirect(earlier.address or reverse("admin:index"))
    messages.success(request, done[0].said)
    for warning in done[0].warnings:
        messages.warning(request, warning)
    sweep_used_keys()
    return HttpResponseRedirect(where)


def spent(request: HttpRequest) -> dict[str, str]:
    """What the change of a form that `acts` uses up: its key, with what it says.

    Raises Conflict where the key has become too old meanwhile.
    """
    key = key_in(request.POST.get(FIELD, ""))
    if key is None:
        raise Conflict(TOO_OLD, code="FORM_EXPIRED")
    sent = sorted((name, values) for name, values in request.POST.lists() if name not in UNSAID)
    return {"key": key.nonce, "said": salted_hmac(SALT, json.dumps(sent), algorithm="sha256").hexdigest()}


def carry_out(
    request: HttpRequest, change: Callable[[], object], *, done: str, then: str, otherwise: str = ""
) -> HttpResponseRedirect:
    """As `settle`, for a question that was answered yes: a refusal becomes a message, and leads `otherwise`."""

    def changed() -> Done:
        change()
        return Done(then, done)

    with told(request):
        return settle(request, changed)
    return HttpResponseRedirect(otherwise or then)


def _refusal(request: HttpRequest) -> str | None:
    """Why the form may not act."""
    if request.META.get(RETURNED):
        return LOOK_AGAIN
    key = key_in(request.POST.get(FIELD, ""))
    if key is None:
        return TOO_OLD
    ours = key.user_id == signed_in(request).pk and key.organisation_id == organisation_id_of(request)
    return None if ours else ELSEWHERE
