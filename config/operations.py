"""What the operations of the address map are called in the OpenAPI description, and the headings they stand under."""

from collections.abc import Mapping

PIPELINE = "/v1/admin/pipelines/{id}"
PINS = "/v1/admin/pipelines/{pipeline_id}/integrations"
TEMPLATE = "/v1/admin/integration-templates/{id}"
REVISIONS = "/v1/admin/integration-templates/{template_id}/revisions"
ROLLOUT = "/v1/admin/rollouts/{id}"
VENDOR = "/v1/admin/integration-catalog/{vendor}"

# By address and method; an address that is missing here keeps the name that drf-spectacular makes.
OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "/v1/admin/auth/login": {"POST": "log_in"},
    "/v1/admin/auth/refresh": {"POST": "refresh_session"},
    "/v1/admin/auth/logout": {"POST": "log_out"},
    "/v1/admin/me": {"GET": "get_me"},
    "/v1/admin/users": {"GET": "list_users", "POST": "create_user"},
    "/v1/admin/users/{id}": {"GET": "get_user", "PATCH": "update_user"},
    "/v1/admin/tokens": {"GET": "list_tokens", "POST": "create_token"},
    "/v1/admin/tokens/{id}": {"DELETE": "revoke_token"},
    "/v1/admin/audit-log": {"GET": "list_audit_entries"},
    "/v1/admin/integration-catalog": {"GET": "list_vendors"},
    VENDOR: {"GET": "get_vendor"},
    f"{VENDOR}/install": {"POST": "install_vendor"},
    "/v1/admin/integration-templates": {"GET": "list_templates", "POST": "create_template"},
    TEMPLATE: {
        "GET": "get_template",
        "PUT": "update_template",
        "PATCH": "patch_template",
        "DELETE": "delete_template",
    },
    REVISIONS: {"GET": "list_revisions", "POST": "create_revision"},
    f"{REVISIONS}/{{id}}": {"GET": "get_revision"},
    f"{REVISIONS}/{{id}}/diff": {"GET": "compare_revisions"},
    f"{REVISIONS}/{{id}}/usages": {"GET": "list_revision_usages"},
    f"{REVISIONS}/{{id}}/status": {"PUT": "set_revision_status"},
    "/v1/admin/pipelines": {"GET": "list_pipelines", "POST": "create_pipeline"},
    PIPELINE: {
        "GET": "get_pipeline",
        "PUT": "update_pipeline",
        "PATCH": "patch_pipeline",
        "DELETE": "delete_pipeline",
    },
    f"{PIPELINE}/config": {"GET": "get_pipeline_config"},
    f"{PIPELINE}/status": {"GET": "get_pipeline_status"},
    f"{PIPELINE}/history": {"GET": "list_pipeline_history"},
    f"{PIPELINE}/parameters/{{key}}": {"PUT": "set_parameter", "DELETE": "delete_parameter"},
    PINS: {"GET": "list_pipeline_integrations", "POST": "assign_integration"},
    f"{PINS}/{{id}}": {
        "GET": "get_pipeline_integration",
        "PUT": "update_pipeline_integration",
        "PATCH": "patch_pipeline_integration",
        "DELETE": "remove_pipeline_integration",
    },
    f"{PINS}/{{id}}/deliveries": {"GET": "get_deliveries"},
    "/v1/admin/pipeline-integrations": {"GET": "list_all_pipeline_integrations"},
    "/v1/admin/rollouts": {"GET": "list_rollouts", "POST": "plan_rollout"},
    ROLLOUT: {"GET": "get_rollout", "DELETE": "discard_rollout"},
    f"{ROLLOUT}/targets": {"GET": "list_rollout_targets"},
    f"{ROLLOUT}/start": {"POST": "start_rollout"},
    f"{ROLLOUT}/pause": {"POST": "pause_rollout"},
    f"{ROLLOUT}/resume": {"POST": "resume_rollout"},
    f"{ROLLOUT}/abort": {"POST": "abort_rollout"},
    f"{ROLLOUT}/revert": {"POST": "revert_rollout"},
    "/v1/runtime/pipelines/{name}": {"GET": "load_pipeline"},
    "/v1/runtime/snapshot": {"GET": "load_snapshot"},
    "/v1/runtime/changes": {"GET": "load_changes"},
    "/v1/runtime/stream": {"GET": "follow_versions"},
    "/v1/runtime/reports": {"POST": "send_report"},
    "/livez": {"GET": "check_liveness"},
    "/readyz": {"GET": "check_readiness"},
}

TAGS = [
    {"name": "Sessions", "description": "Logging in, staying logged in, logging out."},
    {
        "name": "Pipeline integrations",
        "description": "Which vendors receive events from which pipeline, at which revision.",
    },
    {"name": "Pipelines", "description": "Pipelines, their parameters, what they run and ran."},
    {"name": "Rollouts", "description": "One revision for many pipelines: planned, in waves, watched, taken back."},
    {"name": "Templates", "description": "Integrations, each defined once and versioned as immutable revisions."},
    {"name": "Catalogue", "description": "The vendors this build knows."},
    {"name": "Users and tokens", "description": "Who may act: people, and the tokens of programs."},
    {"name": "Audit log", "description": "Who did what, and when."},
    {
        "name": "Runtime feed",
        "description": "What event processors load, and what they say they run. It takes a processor token.",
    },
    {"name": "Health", "description": "For whoever watches this process."},
]

# The first that an address begins with (or, for the pins of one pipeline, holds) decides.
TAG_OF = (
    ("/v1/admin/auth/", "Sessions"),
    ("/v1/admin/me", "Sessions"),
    ("/v1/admin/users", "Users and tokens"),
    ("/v1/admin/tokens", "Users and tokens"),
    ("/v1/admin/audit-log", "Audit log"),
    ("/v1/admin/integration-catalog", "Catalogue"),
    ("/v1/admin/integration-templates", "Templates"),
    ("/v1/admin/pipeline-integrations", "Pipeline integrations"),
    (PINS, "Pipeline integrations"),
    ("/v1/admin/pipelines", "Pipelines"),
    ("/v1/admin/rollouts", "Rollouts"),
    ("/v1/runtime/", "Runtime feed"),
    ("/livez", "Health"),
    ("/readyz", "Health"),
)

ENUM_NAMES = {
    "Role": "accounts.api.serializers.ROLES",
    "TokenScope": "accounts.api.serializers.SCOPES",
    "BearerType": ["user", "token"],
    "ActorType": ["user", "token", "operator", "system"],
    "DeliveryMode": "integrations.models.DeliveryMode.values",
    "RevisionStatus": "integrations.models.Status.values",
    "FieldType": ["string", "secret", "integer", "number", "boolean", "enum", "object"],
    "PipelineType": "pipelines.models.PipelineType.values",
    "HistorySubject": "pipelines.models.Subject.values",
    "Claim": "pipelines.models.Claim.values",
    "AppliedState": ["in_sync", "pending", "partial", "rejected", "drift", "unobserved"],
    "InstanceVerdict": ["in_sync", "pending", "rejected", "drift"],
    "DeliverySpan": ["hour", "day", "week"],
    "ReportStatus": ["accepted", "repeated"],
    "PinState": ["ok", "unresolvable"],
    "RolloutState": "pipelines.models.RolloutState.values",
    "TargetOutcome": "pipelines.models.Outcome.values",
    "TargetStanding": "pipelines.rollouts.progress.STANDINGS",
    "WaveVerdict": "pipelines.api.rollouts.objects.VERDICTS",
    "OnFailure": "pipelines.models.OnFailure.values",
    "OnInconclusive": "pipelines.models.OnInconclusive.values",
    "ChangeKind": ["added", "removed", "changed"],
    "LifeStatus": ["ok"],
    "ReadinessStatus": ["ok", "unavailable"],
    "DatabaseStatus": ["ok", "unreachable", "migrations pending"],
    "KeyRingStatus": ["ok", "missing"],
}


def tag_of(path: str) -> str | None:
    """The heading of an address."""
    return next((tag for start, tag in TAG_OF if path.startswith(start)), None)
