"""Creating revisions, and reading what they hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.actors import Actor
from accounts.errors import Conflict, Detail, Invalid, NotFound
from accounts.preconditions import require_unchanged
from integrations import secrets
from integrations.models import DeliveryMode, Revision, RevisionStanding, SealedValues, Status, Template
from integrations.placeholders import MASK, find_problems
from integrations.pointers import masked, value_at, with_values
from integrations.resolution import CompiledConfig, compile_config
from integrations.templates import create_template, lock_template, touch
from integrations.vendors import VENDORS, Vendor, check_config, secret_pointers, typed_pointers

MISSING = "There is no such revision of this template."


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

    Raises NotFound, Conflict for an archived template, and Invalid with everything that is wrong with the config.
    """
    template = lock_template(actor=actor, template_id=template_id)
    if template.archived:
        raise Conflict("This template is archived. Unarchive it before you add a revision.", code="TEMPLATE_ARCHIVED")
    whole = _with_kept_secrets(template, config, base_revision_id)
    warnings = _check(template.vendor, whole)
    revision = _store(actor, template, whole, delivery_mode, change_summary)
    _record_created(actor, revision)
    return Created(revision, warnings)


@transaction.atomic
def install(
    *, actor: Actor, vendor: str, name: str, config: Mapping[str, Any], variant: str | None = None
) -> tuple[Template, Created]:
    """A template of the vendor and its first revision at once. Raises NotFound, Invalid and Conflict."""
    entry = VENDORS.get(vendor)
    if entry is None:
        raise NotFound("There is no such vendor in the catalogue.")
    whole = config if variant is None else _as_variant(entry, variant, config)
    template = create_template(actor=actor, name=name, vendor=vendor)
    summary = f"Installed {entry.name}"
    created = create_revision(actor=actor, template_id=template.pk, config=whole, change_summary=summary)
    return created.revision.template, created


def _as_variant(vendor: Vendor, key: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config on top of the variant's preset. Raises Invalid for an unknown variant and for what it also needs."""
    variants = {variant.key: variant for variant in vendor.variants}
    if key not in variants:
        known = ", ".join(variants) or "none"
        raise Invalid.because("variant", "unknown_variant", f"{vendor.name} has these variants: {known}.")
    whole = variants[key].beneath(config)
    absent = [name for name in variants[key].requires if name not in whole]
    if absent:
        sentence = f"The variant {key} of {vendor.name} needs: {', '.join(absent)}."
        raise Invalid(sentence, [Detail(f"config/{name}", "required", sentence) for name in absent])
    return whole


@transaction.atomic
def set_status(
    *, actor: Actor, template_id: str, revision: str, status: str, reason: str = "", expected: str | None = None
) -> Revision:
    """Say whether a revision may still be pinned; pins that stand keep delivering. Raises NotFound and Stale."""
    template = lock_template(actor=actor, template_id=template_id)
    found = find_revision(template, revision)
    require_unchanged(found, expected)
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
    return compile_config(whole_config(revision), types_of(revision.template.vendor))


def types_of(vendor: str) -> Mapping[str, Any]:
    """Which places are cast; a vendor that has left the catalogue casts nothing."""
    entry = VENDORS.get(vendor)
    return typed_pointers(entry) if entry else {}


def sealed_context(revision_id: str) -> str:
    """What the sealed values of a revision are bound to."""
    return f"revision:{revision_id}"


def _with_kept_secrets(template: Template, config: Mapping[str, Any], base_id: str | None) -> dict[str, Any]:
    """The config with each mask replaced by the base's secret. Raises Invalid where there is none to keep."""
    base = _base(template, base_id)
    pointers = secret_pointers(VENDORS[template.vendor], config)
    asked = sorted(pointer for pointer in pointers if value_at(config, pointer) == MASK)
    known = sealed_values(base) if base else {}
    lost = [pointer for pointer in asked if pointer not in known]
    if lost:
        hint = (
            f"Revision {base.number} has no secret here. Send the value."
            if base
            else "Send the value, or base_revision_id to keep the value of that revision."
        )
        raise Invalid(
            f"“{MASK}” stands for a secret that is kept. {hint}",
            [Detail(f"config{place}", "nothing_to_keep", hint, {"pointer": place}) for place in lost],
        )
    whole: dict[str, Any] = with_values(dict(config), {pointer: known[pointer] for pointer in asked})
    return whole


def _base(template: Template, base_id: str | None) -> Revision | None:
    if base_id is None:
        return None
    try:
        return find_revision(template, base_id)
    except NotFound:
        raise Invalid.because("base_revision_id", "unknown_revision", MISSING) from None


def _check(vendor: str, config: dict[str, Any]) -> tuple[Detail, ...]:
    """The warnings. Raises Invalid with every error, those of the grammar and those of the vendor."""
    problems = find_problems(config, types_of(vendor))
    findings = check_config(VENDORS[vendor], config)
    errors = [*problems, *findings.errors]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        raise Invalid(f"{errors[0].field}: {errors[0].message}{more}", errors)
    return findings.warnings


def _store(actor: Actor, template: Template, config: dict[str, Any], mode: str, summary: str) -> Revision:
    pointers = sorted(secret_pointers(VENDORS[template.vendor], config))
    revision = Revision.objects.create(
        template=template,
        number=template.latest_number + 1,
        config=masked(config, pointers, MASK),
        delivery_mode=mode,
        change_summary=summary,
        parameters_used=list(compile_config(config, types_of(template.vendor)).keys),
        **Revision.facts(actor),
    )
    revision.standing = RevisionStanding.objects.create(revision=revision)
    if pointers:
        values = json.dumps({pointer: value_at(config, pointer) for pointer in pointers})
        box = secrets.seal(values, context=sealed_context(revision.pk))
        SealedValues.objects.create(revision=revision, box=box)
    template.latest_number = revision.number
    touch(template, "latest_number")
    return revision


def _record_created(actor: Actor, revision: Revision) -> None:
    changes = {
        "revision_number": (None, revision.number),
        "change_summary": (None, revision.change_summary),
        "config": (None, revision.config),
    }
    audit.record(
        actor=actor,
        action="revision.created",
        resource_type="revision",
        resource=revision,
        label=str(revision),
        changes=changes,
    )


def is_retired(revision: Revision) -> bool:
    return revision.status == Status.RETIRED
