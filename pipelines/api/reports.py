"""What processors send: reports of what each instance runs and has delivered."""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.endpoints import Endpoint
from accounts.api.fields import Body, Choice, Line, Name, Text, Whole
from accounts.api.permissions import IsProcessor
from pipelines.api import examples
from pipelines.feed.reports import LIMIT, Delivered, Report, ReportStatus, Said, record_report
from pipelines.models import Claim

MOST_EVENTS = 1_000_000_000  # far more than anybody delivers between two reports
MOST_REPORTS = 2**53 - 1
RUN = RegexValidator(r"\A[A-Za-z0-9._-]{1,64}\Z", "This must be 1 to 64 letters, digits, dots, dashes, underscores.")


class SaidBody(Body):
    id = Text(max_length=40)
    revision_id = Text(max_length=40)
    config_hash = Line(max_length=128)
    state = Choice(choices=Claim.values)
    refused_hash = Line(max_length=128, allow_blank=True, required=False)
    reason = Line(max_length=500, allow_blank=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("refused_hash") and attrs["state"] != Claim.KEPT_LAST_GOOD:
            message = "Only what was kept has a config beside it that was not taken. Leave refused_hash out."
            raise serializers.ValidationError({"refused_hash": message}, code="not_kept")
        return attrs


class DeliveredBody(Body):
    id = Text(max_length=40)
    revision_id = Text(max_length=40)
    delivered = Whole(min_value=0, max_value=MOST_EVENTS)
    failed = Whole(min_value=0, max_value=MOST_EVENTS)


@extend_schema_serializer(examples=[examples.REPORT])
class ReportBody(Body):
    instance = Name(max_length=100)
    run = Text(max_length=64, validators=[RUN])
    sequence = Whole(min_value=1, max_value=MOST_REPORTS)
    started_at = serializers.DateTimeField(required=False, allow_null=True)
    integrations = serializers.ListField(child=SaidBody(), required=False, max_length=LIMIT)
    stopped = serializers.ListField(child=Text(max_length=40), required=False, max_length=LIMIT)
    deliveries = serializers.ListField(child=DeliveredBody(), required=False, max_length=LIMIT)


@extend_schema_serializer(component_name="ReportReceipt", examples=[examples.RECEIPT])
class ReceiptObject(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=[status.value for status in ReportStatus])
    resend = serializers.BooleanField()
    ignored = serializers.ListField(child=serializers.CharField())


class ReportEndpoint(Endpoint):
    permission_classes = (IsProcessor,)
    serializer_class = ReceiptObject

    @extend_schema(request=ReportBody, responses={200: ReceiptObject})
    def create(self, request: Request) -> Response:
        """Say what one instance of a processor runs, and what it has delivered since its last report.

        `instance` is the same again after a restart and unique under its token; `run` is made anew at each start;
        `sequence` counts the reports of a run, 1, 2, 3 …. Send one at a time, at least every 30 seconds, empty if
        need be, and repeat it with its number until it is answered: a report that was here before is answered with
        `repeated`, and counts once.

        `integrations` holds what is new: `applied` runs exactly this revision and config, `rejected` refused exactly
        this and runs nothing of the integration, `kept_last_good` runs exactly this, an older one, and did not take
        what was served since (`refused_hash`). `stopped` are those that it has nothing to do with any more. The first
        report of a run starts from nothing. Where the answer says `resend`, an earlier report is missing here: list
        everything that runs again. `ignored` are integrations that are not there, or not for this token; they are no
        error. At most 1,000 of each: send several reports for more.

        A run that goes on although a later run of the same instance reports is refused with 409 `SUPERSEDED`.
        """
        body = self.read_body(ReportBody)
        receipt = record_report(actor=self.actor, report=_report(body))
        shown = {"status": receipt.status.value, "resend": receipt.resend, "ignored": receipt.ignored}
        return Response(ReceiptObject(shown).data)


def _report(body: dict[str, Any]) -> Report:
    return Report(
        instance=body["instance"],
        run=body["run"],
        sequence=body["sequence"],
        started_at=body.get("started_at"),
        integrations=[_said(item) for item in body.get("integrations", ())],
        stopped=body.get("stopped", ()),
        deliveries=[_delivered(item) for item in body.get("deliveries", ())],
    )


def _said(item: dict[str, Any]) -> Said:
    return Said(
        pin_id=item["id"],
        revision_id=item["revision_id"],
        config_hash=item["config_hash"],
        claim=item["state"],
        refused_hash=item.get("refused_hash", ""),
        reason=item.get("reason", ""),
    )


def _delivered(item: dict[str, Any]) -> Delivered:
    return Delivered(item["id"], item["revision_id"], item["delivered"], item["failed"])
