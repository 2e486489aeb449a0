"""An organisation that grows, in the same SQL on both databases."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organisation, User
from integrations.models import Template
from pipelines.models import Pin, Processor
from pipelines.versions import new_version_id, take_version
from tests.factories import TemplateFactory, revision_of, system
from tests.pipelines.feed.clients import processor_token

VENDORS = {"a": "ga4", "b": "meta_capi", "c": "webhook"}
NUMBERED = """WITH RECURSIVE numbers(n) AS (
    SELECT CAST(%(first)s AS integer) UNION ALL SELECT n + 1 FROM numbers WHERE n < %(last)s)"""
KEY = "CAST(1000000 + n AS varchar(16))"

# What each further pipeline brings along: three labels, a parameter, three pins, the history of these, and what the
# one live instance of a processor says of them.
FILL = [
    f"""INSERT INTO pipelines_pipeline (id, organisation_id, name, slug, type, pipeline_key, enabled, row_version,
            changed_in_id, created_at, updated_at)
        {NUMBERED} SELECT 'pip_' || {KEY}, %(organisation)s, 'Shop ' || {KEY}, 'shop-' || {KEY}, 'web', 'pk_' || {KEY},
            true, 1, %(version)s, %(now)s, %(now)s FROM numbers""",
    *(
        f"""INSERT INTO pipelines_label (organisation_id, pipeline_id, key, value)
            {NUMBERED} SELECT %(organisation)s, 'pip_' || {KEY}, '{key}', {value} FROM numbers"""
        for key, value in {
            "environment": "CASE n %% 2 WHEN 0 THEN 'production' ELSE 'staging' END",
            "team": "'team-' || CAST(n %% 20 AS varchar(16))",
            "fleet": "'all'",
        }.items()
    ),
    f"""INSERT INTO pipelines_parameter (pipeline_id, key, value, sealed, secret, updated_at)
        {NUMBERED} SELECT 'pip_' || {KEY}, 'ga4_measurement_id', 'G-' || {KEY}, '', false, %(now)s FROM numbers""",
    *(
        f"""INSERT INTO pipelines_pin (id, organisation_id, pipeline_id, template_id, revision_id, enabled, resolvable,
                row_version, created_at, updated_at)
            {NUMBERED} SELECT 'pi_{name}' || {KEY}, %(organisation)s, 'pip_' || {KEY}, %(template_{name})s,
                %(revision_{name})s, true, true, 1, %(now)s, %(now)s FROM numbers"""
        for name in VENDORS
    ),
    """INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, after_revision_id, after_enabled,
            secret)
        SELECT %(version)s, pipeline_id, 'pin', id, revision_id, true, false FROM pipelines_pin
        WHERE created_at = %(now)s""",
    """INSERT INTO pipelines_runningpin (processor_id, pipeline_id, pin_id, claim, revision_id, config_hash, refused_hash,
            reason, reported_at)
        SELECT %(processor)s, pipeline_id, id, 'applied', revision_id, id, '', '', %(now)s FROM pipelines_pin
        WHERE created_at = %(now)s""",
]


class Fleet:
    """So many pipelines of one organisation, each with a pin of three templates, at the first of two revisions."""

    def __init__(self, organisation: Organisation, reader: User) -> None:
        self.organisation, self.reader = organisation, reader
        self.actor = system(organisation)
        self.size = 0
        self.templates: dict[str, Template] = {
            name: TemplateFactory(organisation=organisation, name=f"For {vendor}", vendor=vendor, revisions=2)
            for name, vendor in VENDORS.items()
        }
        token, self.bearer = processor_token(organisation)
        self.processor = Processor.objects.create(
            organisation=organisation,
            token=token,
            instance="eu-1",
            run="run",
            sequence=1,
            last_seen_at=timezone.now() + timedelta(days=1),  # so it is alive to the end
        )

    def grow(self, size: int) -> None:
        """Add what is missing to so many pipelines, and leave the tables as after a quiet night."""
        self._fill(size)
        tidy()
        self.size = size

    @transaction.atomic
    def _fill(self, size: int) -> None:
        version_id = new_version_id()
        take_version(actor=self.actor, version_id=version_id)
        names = {
            "organisation": self.organisation.pk,
            "version": version_id,
            "processor": self.processor.pk,
            "now": connection.ops.adapt_datetimefield_value(timezone.now()),
            "first": self.size + 1,
            "last": size,
        }
        for name, template in self.templates.items():
            names |= {f"template_{name}": template.pk, f"revision_{name}": revision_of(template, 1).pk}
        with connection.cursor() as cursor:
            for statement in FILL:
                cursor.execute(statement, names)

    def pins(self, count: int) -> list[Pin]:
        """Of as many pipelines, spread over all of them."""
        pins = Pin.objects.filter(template=self.templates["c"]).order_by("pk")
        return list(pins[:: max(1, self.size // count)][:count])


def tidy() -> None:
    """Clear away what is dead and count anew, as the database does by itself when it is quiet."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
