"""Creating revisions, and reading what they hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.preconditions import require_unchanged
from integrations import secrets
from integrations.models import DeliveryMode, Revision, RevisionStanding, SealedValues, Template
from integrations.placeholders import MASK, find_problems
from integrations.pointers import masked, pointers_into, value_at, with_values
from integrations.resolution import CompiledConfig, compile_config
from integrations.templates import create_template, lock_template, touch
from integrations.vendors import VENDORS, Variant, Vendor, check_config, secret_pointers, typed_pointers

MISSING = "There is no such revision of this template."
UNKNOWN = "There is no such vendor in the catalogue. See /v1/admin/integration-catalog."
MAX_DETAILS = 100  # how many errors or warnings one answer lists; a hostile config has a hundred thousand
CACHED_LENGTH = 32 * 1024  # characters of a config; longer ones are rare, and would make the cache large


@dataclass(frozen=True)
class Created:
    """A new revision, and what about its config is unusual without being wrong."""

    revision: Revision
    warnings: tuple[Detail, ...]


@transaction.atomic
def create_revision(
    *,
    actor: Actor,
    template_id: str,
    config: Mapping[str, Any],
    delivery_mode: str = DeliveryMode.SERVER_SIDE,
    change_summary: str = "",
    base_revision_id: str | None = None,
) -> Created:
    """Append the next revision; it runs nowhere until it is pinned.

    A mask in the config stands for the secret that the base revision has there. Raises NotFound, Conflict for an
    archived template and for a vendor that has left the catalogue, and Invalid with what is wrong with the config.
    """
    template = lock_template(actor=actor, template_id=template_id)
    if template.archived:
        raise Conflict("This template is archived. Unarchive it before you add a revision.", code="TEMPLATE_ARCHIVED")
    vendor = _vendor_of(template)
    base = _base(template, base_revision_id)
    draft = _draft(vendor, config, base)
    return _append(actor, template, draft, delivery_mode, change_summary)


@transaction.atomic
def install(
    *, actor: Actor, vendor: str, name: str, config: Mapping[str, Any], variant: str | None = None
) -> tuple[Template, Created]:
    """A template of the vendor and its first revision at once, on top of the preset of the variant.

    Raises NotFound for the vendor, Conflict for a name in use, and Invalid with what is wrong with the config.
    """
    entry = VENDORS.get(vendor)
    if entry is None:
        raise NotFound(UNKNOWN)
    chosen = _variant(entry, variant)
    draft = _draft(entry, chosen.beneath(config) if chosen else config, variant=chosen)
    template = create_template(actor=actor, name=name, vendor=vendor)
    return template, _append(actor, template, draft, DeliveryMode.SERVER_SIDE, f"Installed {entry.name}")


@transaction.atomic
def set_status(
    *,
    actor: Actor,
    template_id: str,
    revision: str,
    status: str,
    reason: str | None = None,
    expected: str | None = None,
) -> Revision:
    """Say whether a revision may still be pinned; pins that stand keep delivering.

    A person has to say why: both doors pass a reason on, and a blank one raises Invalid. Raises NotFound and Stale.
    """
    template = lock_template(actor=actor, template_id=template_id)
    found = find_revision(template, revision)
    require_unchanged(found, expected)
    if reason is not None and not reason.strip():
        raise Invalid.because("reason", "blank", "Say why, for whoever meets this revision later.")
    reason = reason or ""
    standing = found.standing
    changes = audit.changed(
        {"status": standing.status, "reason": standing.reason}, {"status": status, "reason": reason}
    )
    if changes:
        standing.status, standing.reason = status, reason
        standing.row_version += 1
        standing.updated_at = timezone.now()
        standing.save()
        audit.record(
            actor=actor,
            action="revision.status_changed",
            resource_type="revision",
            resource=found,
            label=str(found),
            changes=changes,
        )
    return found


def find_revision(template: Template, reference: str) -> Revision:
    """By id or by number. Raises NotFound."""
    revisions = Revision.objects.filter(template=template).with_config()
    is_number = reference.isascii() and reference.isdigit() and len(reference) < 10
    found = revisions.filter(number=int(reference)) if is_number else revisions.filter(pk=reference)
    revision = found.first()
    if revision is None:
        raise NotFound(MISSING)
    return revision


def whole_config(revision: Revision) -> dict[str, Any]:
    """The config with its secrets in place, for whoever runs it or compares it, never for showing."""
    config: dict[str, Any] = with_values(revision.config, sealed_values(revision))
    return config


def sealed_values(revision: Revision) -> dict[str, Any]:
    """The secret values by JSON Pointer; for a revision read `with_config` this takes no statement."""
    sealed = getattr(revision, "sealed", None)
    if sealed is None:
        return {}
    values: dict[str, Any] = json.loads(secrets.unseal(sealed.box, context=sealed_context(revision.pk)))
    return values


def compiled(revision: Revision) -> CompiledConfig:
    """The config ready to be filled in for any number of pipelines."""
    return _compiled(whole_config(revision), types_of(revision.template.vendor))


def types_of(vendor: str) -> Mapping[str, Any]:
    """Which places are cast; a vendor that has left the catalogue casts nothing."""
    entry = VENDORS.get(vendor)
    return typed_pointers(entry) if entry else {}


def sealed_context(revision_id: str) -> str:
    """What the sealed values of a revision are bound to."""
    return f"revision:{revision_id}"


def _compiled(config: Mapping[str, Any], types: Mapping[str, Any]) -> CompiledConfig:
    text = json.dumps(config)
    compiling = _compile if len(text) <= CACHED_LENGTH else _compile.__wrapped__
    return compiling(text, tuple(types.items()))


@lru_cache(maxsize=256)
def _compile(text: str, types: tuple[tuple[str, Any], ...]) -> CompiledConfig:
    """Kept by the whole content, so nothing here can ever be stale, whatever becomes of ids and transactions."""
    return compile_config(json.loads(text), dict(types))


@dataclass(frozen=True)
class _Draft:
    """A config that may become a revision: whole, the places that will be sealed, and what is unusual about it."""

    config: dict[str, Any] = field(repr=False)
    secrets: frozenset[str]
    types: Mapping[str, Any]
    warnings: tuple[Detail, ...]


def _draft(
    vendor: Vendor, config: Mapping[str, Any], base: Revision | None = None, variant: Variant | None = None
) -> _Draft:
    """Raises Invalid with the first hundred errors: masks that stand for nothing, the grammar's, the vendor's."""
    known = sealed_values(base) if base else {}
    asked = _masks(vendor, config, known)
    kept = {pointer: known[pointer] for pointer in asked if pointer in known}
    whole: dict[str, Any] = with_values(dict(config), kept)
    types = typed_pointers(vendor)
    findings = check_config(vendor, whole, variant=variant)
    lost = [_nothing_to_keep(pointer, base) for pointer in asked if pointer not in known]
    errors = [*lost, *find_problems(whole, types), *findings.errors]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        raise Invalid(f"{errors[0].field}: {errors[0].message}{more}", errors[:MAX_DETAILS])
    secret_places = secret_pointers(vendor, whole) | kept.keys()
    return _Draft(whole, secret_places, types, findings.warnings[:MAX_DETAILS])


def _masks(vendor: Vendor, config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """Where the config has the mask for a secret: one of the vendor's, or one that the base holds sealed."""
    places = secret_pointers(vendor, config).union(pointers_into(config, known))
    return sorted(place for place in places if value_at(config, place) == MASK)


def _nothing_to_keep(pointer: str, base: Revision | None) -> Detail:
    why = f"revision {base.number} has none here" if base else "there is no base_revision_id to keep it from"
    message = f"“{MASK}” stands for a secret that is kept, and {why}. Send the value."
    return Detail(f"config{pointer}", "nothing_to_keep", message, {"pointer": pointer})


def _vendor_of(template: Template) -> Vendor:
    vendor = VENDORS.get(template.vendor)
    if vendor is None:
        message = (
            f"{template.vendor} has left the catalogue: what is pinned keeps running, and nothing new can be checked."
        )
        raise Conflict(message, [Detail("vendor", "unknown_vendor", message)], code="VENDOR_GONE")
    return vendor


def _variant(vendor: Vendor, key: str | None) -> Variant | None:
    variants = {variant.key: variant for variant in vendor.variants}
    if key is not None and key not in variants:
        known = ", ".join(variants) or "none"
        raise Invalid.because("variant", "unknown_variant", f"{vendor.name} has these variants: {known}.")
    return variants[key] if key is not None else None


def _base(template: Template, base_id: str | None) -> Revision | None:
    if base_id is None:
        return None
    try:
        return find_revision(template, base_id)
    except NotFound:
        raise Invalid.because("base_revision_id", "unknown_revision", MISSING) from None


def _append(actor: Actor, template: Template, draft: _Draft, mode: str, summary: str) -> Created:
    """Store the draft as the next revision of a locked template."""
    pointers = sorted(draft.secrets)
    revision = Revision.objects.create(
        template=template,
        number=template.latest_number + 1,
        config=masked(draft.config, pointers, MASK),
        delivery_mode=mode,
        change_summary=summary,
        parameters_used=list(_compiled(draft.config, draft.types).keys),
        **Revision.facts(actor),
    )
    revision.standing = RevisionStanding.objects.create(revision=revision)
    if pointers:
        values = json.dumps({pointer: value_at(draft.config, pointer) for pointer in pointers})
        box = secrets.seal(values, context=sealed_context(revision.pk))
        SealedValues.objects.create(revision=revision, box=box)
    template.latest_number = revision.number
    touch(template, "latest_number")
    _record_created(actor, revision)
    return Created(revision, draft.warnings)


def _record_created(actor: Actor, revision: Revision) -> None:
    facts = {
        "revision_number": revision.number,
        "delivery_mode": str(revision.delivery_mode),
        "change_summary": revision.change_summary,
        "config": revision.config,
    }
    audit.record(
        actor=actor,
        action="revision.created",
        resource_type="revision",
        resource=revision,
        label=str(revision),
        changes={name: (None, value) for name, value in facts.items()},
    )
