"""Parameters sealed under whatever key is current, for tests that then change the keys."""

from integrations.secrets import seal
from pipelines.models import Parameter, Pipeline
from pipelines.preflight import parameter_context

OLD, NEW = b"o" * 32, b"n" * 32


def seal_parameters(pipeline: Pipeline, count: int) -> dict[str, str]:
    """So many secret parameters, as if written one by one."""
    values = {f"k{number:03}": f"value {number}" for number in range(count)}
    Parameter.objects.bulk_create(
        Parameter(
            pipeline=pipeline, key=key, secret=True, sealed=seal(value, context=parameter_context(pipeline.pk, key))
        )
        for key, value in values.items()
    )
    return values
