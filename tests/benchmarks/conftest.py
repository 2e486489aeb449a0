"""An organisation with 100,000 of everything, made in seconds."""

import os
from collections.abc import Callable, Generator

import pytest
from django.db import connection

from accounts.models import Organisation, User
from integrations.models import Template
from tests.benchmarks.last_run import pytest_terminal_summary, record
from tests.factories import PipelineFactory, TemplateFactory, revision_of

__all__ = ["pytest_terminal_summary", "record"]  # pytest finds them here

ROWS = 100_000
NUMBERED = f"generate_series(1, {ROWS}) AS n"
KEY = "lpad(n::text, 16, '0')"
MOMENT = "timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second'"

# Without triggers and deferred checks the rows are there in seconds; every constraint of a column still holds.
FILL = [
    "SET session_replication_role = replica",
    f"""INSERT INTO pipelines_pipeline (id, organisation_id, name, slug, type, pipeline_key, enabled, row_version,
            created_at, updated_at)
        SELECT 'pip_' || {KEY}, %(organisation)s, 'Shop ' || n, 'shop-' || n, (ARRAY['web', 'app', 'server'])[1 + n %% 3],
            'pk_' || {KEY}, n %% 10 > 0, 1, {MOMENT}, {MOMENT} FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_label (organisation_id, pipeline_id, key, value)
        SELECT %(organisation)s, 'pip_' || {KEY}, 'environment', (ARRAY['production', 'staging'])[1 + n %% 2] FROM {NUMBERED}
        UNION ALL SELECT %(organisation)s, 'pip_' || {KEY}, 'team', 'team-' || n %% 20 FROM {NUMBERED}
        UNION ALL SELECT %(organisation)s, 'pip_' || {KEY}, 'fleet', 'all' FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_parameter (pipeline_id, key, value, sealed, secret, updated_at)
        SELECT 'pip_' || {KEY}, 'ga4_measurement_id', 'G-' || n, '', false, {MOMENT} FROM {NUMBERED}
        UNION ALL SELECT 'pip_' || {KEY}, 'half', n::text, '', false, {MOMENT} FROM {NUMBERED} WHERE n %% 2 = 0""",
    f"""INSERT INTO pipelines_pin (id, organisation_id, pipeline_id, template_id, revision_id, enabled, resolvable,
            row_version, created_at, updated_at)
        SELECT 'pi_a' || {KEY}, %(organisation)s, 'pip_' || {KEY}, %(shared)s, %(third)s, n %% 10 > 0, n %% 50 > 0, 1,
            {MOMENT}, {MOMENT} FROM {NUMBERED}
        UNION ALL
        SELECT 'pi_b' || {KEY}, %(organisation)s, 'pip_' || {KEY}, %(halved)s,
            CASE n %% 2 WHEN 0 THEN %(first)s ELSE %(second)s END, true, true, 1, {MOMENT}, {MOMENT} FROM {NUMBERED}""",
    f"""INSERT INTO integrations_template (id, organisation_id, name, vendor, description, latest_number, archived,
            row_version, created_at, updated_at)
        SELECT 'tmpl_' || {KEY}, %(organisation)s, 'Template ' || n, (ARRAY['ga4', 'webhook'])[1 + n %% 2], '', 0,
            n %% 4 = 0, 1, {MOMENT}, {MOMENT} FROM {NUMBERED}""",
    f"""INSERT INTO integrations_revision (id, template_id, number, config, delivery_mode, change_summary,
            parameters_used, created_at, actor_type, actor_id, actor_label, request_id)
        SELECT 'rev_' || {KEY}, %(long)s, n + 1, '{{"url": "https://a.example"}}', 'server_side', 'Change', '[]', {MOMENT},
            'system', 'bench', 'bench', '' FROM {NUMBERED}""",
    f"""INSERT INTO integrations_revisionstanding (revision_id, status, reason, row_version, updated_at)
        SELECT 'rev_' || {KEY}, 'active', '', 1, {MOMENT} FROM {NUMBERED}""",
    f"UPDATE integrations_template SET latest_number = {ROWS + 1} WHERE id = %(long)s",
    f"""INSERT INTO pipelines_configurationversion (id, organisation_id, number, created_at, actor_type, actor_id,
            actor_label, request_id)
        SELECT 'ver_' || {KEY}, %(organisation)s, 1000 + n, {MOMENT}, 'system', 'bench', 'bench', '' FROM {NUMBERED}""",
    f"""INSERT INTO pipelines_historyentry (version_id, pipeline_id, subject, subject_id, before_revision_id,
            after_revision_id, before_enabled, after_enabled, before_value, after_value, secret)
        SELECT 'ver_' || {KEY}, %(pipeline)s, 'pin', 'pi_' || n %% 7, %(first)s, %(second)s, true, true, NULL, NULL, false
            FROM {NUMBERED} WHERE n %% 2 = 0
        UNION ALL
        SELECT 'ver_' || {KEY}, %(pipeline)s, 'parameter', 'key_' || n %% 9, NULL, NULL, NULL, NULL, 'a', 'b', n %% 3 = 0
            FROM {NUMBERED} WHERE n %% 2 = 1""",
    f"""INSERT INTO accounts_user (id, organisation_id, password, email, name, role, is_active, is_superuser, row_version,
            created_at, updated_at)
        SELECT 'usr_' || {KEY}, %(organisation)s, '!', 'user' || n || '@bench.example', 'User ' || n, 'viewer', true, false,
            1, {MOMENT}, {MOMENT} FROM {NUMBERED}""",
    f"""INSERT INTO accounts_apitoken (id, organisation_id, name, scope, token_hash, hint, created_by, created_at)
        SELECT 'tok_' || {KEY}, %(organisation)s, 'Token ' || n, 'processor', md5(n::text), 'abcd', 'bench', {MOMENT}
            FROM {NUMBERED}""",
    f"""INSERT INTO accounts_auditentry (organisation_id, actor_type, actor_id, actor_label, request_id, action,
            resource_type, resource_id, resource_label, changes, created_at)
        SELECT %(organisation)s, 'user', %(actor)s, 'bench', '', 'pin.updated', 'pipeline_integration', 'pi_b' || {KEY},
            'GA4 on Shop ' || n, '{{"enabled": {{"old": true, "new": false}}}}', {MOMENT} FROM {NUMBERED}""",
    # Two instances that stay alive for as long as this runs speak of every pin, and one pin was busy all week.
    """INSERT INTO pipelines_processor (organisation_id, token_id, instance, run, sequence, resend, last_seen_at)
        SELECT %(organisation)s, 'tok_' || lpad('1', 16, '0'), 'eu-' || n, 'run', 1, false, now() + interval '1 day'
            FROM generate_series(1, 2) AS n""",
    """INSERT INTO pipelines_runningpin (processor_id, pipeline_id, pin_id, claim, revision_id, config_hash, refused_hash,
            reason, reported_at)
        SELECT processor.id, pin.pipeline_id, pin.id, 'applied', pin.revision_id, md5(pin.id), '', '', now()
            FROM pipelines_pin pin CROSS JOIN pipelines_processor processor""",
    f"""INSERT INTO pipelines_deliveryfigure (organisation_id, pin_id, revision_id, started_at, delivered, failed)
        SELECT %(organisation)s, 'pi_b' || {KEY}, CASE n %% 2 WHEN 0 THEN %(first)s ELSE %(second)s END,
            date_trunc('minute', now()), 50, n %% 3 FROM {NUMBERED}
        UNION ALL
        SELECT %(organisation)s, 'pi_a' || lpad('1', 16, '0'), %(third)s, date_trunc('minute', now()) - n * interval '1 minute',
            50, n %% 3 FROM generate_series(1, 10000) AS n""",
    "SET session_replication_role = origin",
    "VACUUM ANALYZE",
]


@pytest.fixture
def crowd(committed_db: str, organisation: Organisation, admin_user: User) -> dict[str, str]:
    """100,000 of everything; what its parts are called."""
    shared = TemplateFactory(organisation=organisation, name="Shared by all", vendor="ga4", revisions=5)
    halved = TemplateFactory(organisation=organisation, name="Half of it outdated", vendor="webhook", revisions=2)
    long: Template = TemplateFactory(organisation=organisation, name="With many revisions", vendor="webhook")
    names = {
        "organisation": organisation.pk,
        "actor": admin_user.pk,
        "pipeline": PipelineFactory(organisation=organisation).pk,
        "shared": shared.pk,
        "third": revision_of(shared, 3).pk,
        "halved": halved.pk,
        "first": revision_of(halved, 1).pk,
        "second": revision_of(halved, 2).pk,
        "long": long.pk,
    }
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, names)
    return names


@pytest.fixture
def other_core() -> Generator[None]:
    """The load comes from where the server is not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {0} or before)
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """The benchmark's own output, past pytest."""

    def write(text: str) -> None:
        with capsys.disabled():
            print(text)  # noqa: T201  # what a benchmark is for

    return write
