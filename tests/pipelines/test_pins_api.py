"""Pipeline integrations over REST: the user's document, and what it leaves open."""

from accounts.models import Organisation
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import PinFactory, PipelineFactory, TemplateFactory, revision_of


def test_assigning_answers_with_the_full_object(editor: Api, organisation: Organisation) -> None:
    pipeline = PipelineFactory(organisation=organisation)
    template = TemplateFactory(organisation=organisation, name="Meta CAPI Production", revisions=5)
    revision = revision_of(template, 3)

    answer = editor.post(
        f"pipelines/{pipeline.pk}/integrations",
        {"integration_id": template.pk, "revision_id": revision.pk, "enabled": True},
    )

    assert answer.status_code == 201
    pin = answer.json()
    assert pin.pop("id").startswith("pi_")
    assert pin.pop("created_at") == pin.pop("updated_at")
    assert pin == {
        "pipeline_id": pipeline.pk,
        "integration_id": template.pk,
        "integration_name": "Meta CAPI Production",
        "vendor": "meta_capi",
        "revision_id": revision.pk,
        "revision_number": 3,
        "latest_revision": 5,
        "enabled": True,
    }


def test_only_editors_and_admins_assign(cast: Cast, organisation: Organisation) -> None:
    pin = PinFactory(organisation=organisation)
    path = f"pipelines/{pin.pipeline_id}/integrations/{pin.pk}"
    answers = {name: api.put(path, {"enabled": False}).status_code for name, api in cast.items()}
    assert answers == {"viewer": 403, "editor": 200, "admin": 200, "stranger": 404, "processor": 403, "nobody": 401}
