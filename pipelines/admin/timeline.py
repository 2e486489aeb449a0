"""Lines of history as sentences."""

from collections.abc import Mapping

from integrations.placeholders import MASK
from pipelines.models import HistoryEntry, Subject


def sentence_of(entry: HistoryEntry, last_secret_lines: Mapping[str, int] | None = None) -> str:
    """One line of history as a sentence.

    A parameter's value is told only with the pipeline's `last_secret_lines` at hand: one that was made secret is
    masked in the lines before that too, as REST does.
    """
    before, after = entry.before_revision, entry.after_revision
    if entry.subject == Subject.PARAMETER:
        verb = "deleted" if entry.after_value is None else "set" if entry.before_value is None else "changed"
        value = _value_told(entry, last_secret_lines)
        return f"Parameter {entry.subject_id} {verb}{value}"
    if entry.subject == Subject.PIPELINE:
        if entry.before_enabled is None:
            return "Pipeline created"
        return {True: "Pipeline enabled", False: "Pipeline disabled", None: "Pipeline deleted"}[entry.after_enabled]
    if after is None:
        return f"{before.template.name} removed (was v{before.number})" if before else "Removed"
    if before is None:
        return f"{after.template.name} assigned at v{after.number}, {'enabled' if entry.after_enabled else 'disabled'}"
    moved = f" moved from v{before.number} to v{after.number}" if before != after else ""
    switched = entry.before_enabled != entry.after_enabled
    turned = f" {'enabled' if entry.after_enabled else 'disabled'}" if switched else ""
    return f"{after.template.name}{moved}{turned}"


def _value_told(entry: HistoryEntry, last_secret_lines: Mapping[str, int] | None) -> str:
    if entry.after_value is None or last_secret_lines is None:
        return ""
    secret = entry.secret or entry.pk <= last_secret_lines.get(entry.subject_id, 0)
    return f" to “{MASK if secret else entry.after_value}”"
