"""Pipelines over REST: making, changing, finding and removing them."""

from typing import Any

import pytest

from accounts.models import Organisation
from accounts.roles import Role
from pipelines.models import HistoryEntry, Label, Parameter, Pin, Pipeline, TokenPipeline
from pipelines.registry import create_pipeline
from pipelines.tokens import issue_limited_token
from tests.clients import Api
from tests.factories import PinFactory, PipelineFactory, system, wishes
from tests.pipelines.traces import counts, grown, kept, refusal, version_of


@pytest.fixture
def pipeline(organisation: Organisation) -> Any:
    return PipelineFactory(organisation=organisation, name="Web Shop", labels={"team": "a", "stage": "live"})


def test_a_pipeline_is_made_from_a_name_alone(editor: Api) -> None:
    answer = editor.post("pipelines", {"name": "Marketing Website"})
    assert answer.status_code == 201
    shown = answer.json()
    assert list(shown) == [
        "id",
        "name",
        "slug",
        "type",
        "pipeline_key",
        "labels",
        "parameters",
        "secret_parameters",
        "enabled",
        "created_at",
        "updated_at",
    ]
    assert shown.pop("id").startswith("pip_")
    assert shown.pop("pipeline_key").startswith("pk_")
    assert shown.pop("created_at") == shown.pop("updated_at")
    assert shown == {
        "name": "Marketing Website",
        "slug": "marketing-website",
        "type": "web",
        "labels": {},
        "parameters": {},
        "secret_parameters": [],
        "enabled": True,
    }


def test_a_pipeline_takes_all_that_is_given(editor: Api) -> None:
    body = {
        "name": "App",
        "slug": "the-app",
        "type": "app",
        "labels": {"environment": "production", "empty": ""},
        "parameters": {"b": "2", "a": "1"},
        "enabled": False,
    }
    shown = editor.post("pipelines", body).json()
    assert {name: shown[name] for name in body} == body
    assert editor.get(f"pipelines/{shown['id']}").json() == shown


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Web Shop", "web-shop"),
        ("foo_bar  baz", "foo-bar-baz"),
        ("Übergrößen – Café", "ubergroen-cafe"),
        ("日本", "pipeline"),
        ("--", "pipeline"),
        (f"{'a' * 79} b", "a" * 79),
        ("x" * 200, "x" * 80),
    ],
)
def test_the_slug_comes_from_the_name(editor: Api, name: str, slug: str) -> None:
    assert editor.post("pipelines", {"name": name}).json()["slug"] == slug


def test_a_name_in_use_gives_the_next_slug_and_at_last_a_random_one(editor: Api) -> None:
    slugs = [editor.post("pipelines", {"name": "Shop"}).json()["slug"] for _ in range(22)]
    assert slugs[:20] == ["shop", *(f"shop-{number}" for number in range(2, 21))]
    assert len(set(slugs)) == 22
    assert all(slug.startswith("shop-") and len(slug) == 21 for slug in slugs[20:])


def test_a_slug_in_use_is_refused(editor: Api, organisation: Organisation, pipeline: Pipeline) -> None:
    other = PipelineFactory(organisation=organisation)
    before = kept()
    refused = (409, "SLUG_TAKEN", [("slug", "taken")])
    assert refusal(editor.post("pipelines", {"name": "New", "slug": "web-shop"})) == refused
    assert refusal(editor.put(f"pipelines/{other.pk}", {"slug": "web-shop", "name": "New"})) == refused
    assert kept() == before
    assert editor.put(f"pipelines/{pipeline.pk}", {"slug": "web-shop"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, ("name", "required")),
        ({"name": ""}, 422, ("name", "blank")),
        ({"name": " x"}, 422, ("name", "blanks")),
        ({"name": "a\nb"}, 422, ("name", "control_character")),
        ({"name": "x" * 201}, 422, ("name", "max_length")),
        ({"name": 1}, 422, ("name", "wrong_type")),
        ({"name": "x", "slug": "Shop"}, 422, ("slug", "invalid_slug")),
        ({"name": "x", "slug": "a--b"}, 422, ("slug", "invalid_slug")),
        ({"name": "x", "slug": "a\n"}, 422, ("slug", "invalid_slug")),
        ({"name": "x", "slug": "a" * 101}, 422, ("slug", "max_length")),
        ({"name": "x", "type": "mail"}, 422, ("type", "not_a_choice")),
        ({"name": "x", "enabled": 1}, 422, ("enabled", "wrong_type")),
        ({"name": "x", "labels": {"a b": "c"}}, 422, ("labels/a b", "invalid_label")),
        ({"name": "x", "labels": {"a": "c\n"}}, 422, ("labels/a", "invalid_label")),
        ({"name": "x", "labels": {"a": "b" * 64}}, 422, ("labels/a", "invalid_label")),
        ({"name": "x", "labels": {"a": 1}}, 422, ("labels/a", "wrong_type")),
        ({"name": "x", "labels": "a"}, 422, ("labels", "wrong_type")),
        ({"name": "x", "pipeline_key": "pk_mine"}, 400, ("pipeline_key", "unknown_field")),
        ({"name": "x", "lables": {}}, 400, ("lables", "unknown_field")),
    ],
)
def test_a_body_that_is_not_as_documented_is_refused(
    editor: Api, body: dict[str, Any], status: int, detail: tuple[str, str]
) -> None:
    before = kept()
    found_status, _, details = refusal(editor.post("pipelines", body))
    assert (found_status, details[0]) == (status, detail)
    assert kept() == before


def test_one_answer_names_everything_that_is_wrong_with_a_body(editor: Api) -> None:
    body = {"name": "a\u2028b", "slug": "Foo_BAR-", "type": "mail", "labels": {"a b!": "c", "d": "b" * 64}}
    assert refusal(editor.post("pipelines", body))[2] == [
        ("name", "control_character"),
        ("slug", "invalid_slug"),
        ("type", "not_a_choice"),
        ("labels/a b!", "invalid_label"),
        ("labels/d", "invalid_label"),
    ]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_what_an_update_leaves_out_stays_and_labels_merge(editor: Api, pipeline: Pipeline, method: str) -> None:
    body = {"labels": {"team": None, "stage": "test", "new": "1", "never": None}, "type": "server"}
    shown = getattr(editor, method)(f"pipelines/{pipeline.pk}", body).json()
    assert (shown["name"], shown["slug"], shown["type"]) == ("Web Shop", "web-shop", "server")
    assert shown["labels"] == {"new": "1", "stage": "test"}


def test_a_rename_or_a_label_is_audited_and_no_new_version(
    editor: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    before, version = counts(), version_of(organisation)
    for body in ({"name": "New"}, {"slug": "new"}, {"type": "app"}, {"labels": {"a": "1"}}, {"labels": {"a": None}}):
        assert editor.patch(f"pipelines/{pipeline.pk}", body).status_code == 200
    assert grown(before) == {"history": 0, "audit": 5, "versions": 0}
    assert version_of(organisation) == version


def test_turning_a_pipeline_off_and_on_is_a_change_to_what_runs(editor: Api, pipeline: Pipeline) -> None:
    before = counts()
    assert editor.patch(f"pipelines/{pipeline.pk}", {"enabled": False}).json()["enabled"] is False
    assert editor.get(f"pipelines/{pipeline.pk}/config").json()["enabled"] is False
    assert editor.patch(f"pipelines/{pipeline.pk}", {"enabled": True}).json()["enabled"] is True
    assert grown(before) == {"history": 2, "audit": 2, "versions": 2}
    lines = editor.get(f"pipelines/{pipeline.pk}/history").json()["history"]
    assert [(line["subject"], line["before"], line["after"]) for line in lines] == [
        ("pipeline", {"enabled": False}, {"enabled": True}),
        ("pipeline", {"enabled": True}, {"enabled": False}),
        ("pipeline", None, {"enabled": True}),
    ]


def test_an_update_with_everything_is_one_version(editor: Api, organisation: Organisation, pipeline: Pipeline) -> None:
    before, version = counts(), version_of(organisation)
    body = {"name": "New", "labels": {"a": "1"}, "parameters": {"b": "1", "c": "2"}, "enabled": False}
    assert editor.put(f"pipelines/{pipeline.pk}", body).status_code == 200
    assert grown(before) == {"history": 3, "audit": 2, "versions": 1}
    assert version_of(organisation) == version + 1


@pytest.mark.parametrize("method", ["put", "patch"])
def test_an_update_that_changes_nothing_leaves_no_trace(editor: Api, pipeline: Pipeline, method: str) -> None:
    shown, before = editor.get(f"pipelines/{pipeline.pk}"), kept()
    same = {"name": "Web Shop", "slug": "web-shop", "type": "web", "enabled": True, "labels": {"team": "a", "x": None}}
    bodies: list[dict[str, Any]] = [{}, same, {"labels": {}}, {"parameters": {}}]
    for body in bodies:
        answer = getattr(editor, method)(f"pipelines/{pipeline.pk}", body)
        assert (answer.status_code, answer.json(), answer["ETag"]) == (200, shown.json(), shown["ETag"])
    assert kept() == before


def test_a_pipeline_has_at_most_50_labels_however_they_came(editor: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}"
    assert editor.patch(path, {"labels": {f"l{number}": "" for number in range(48)}}).status_code == 200
    before = kept()
    assert refusal(editor.patch(path, {"labels": {"more": ""}}))[2] == [("labels", "too_many")]
    assert refusal(editor.post("pipelines", {"name": "x", "labels": {f"l{n}": "" for n in range(51)}}))[2] == [
        ("labels", "too_many")
    ]
    assert kept() == before
    assert editor.patch(path, {"labels": {"l1": None, "more": "", "l2": "new"}}).status_code == 200


def test_a_change_is_refused_to_who_saw_an_older_pipeline(editor: Api, admin: Api, pipeline: Pipeline) -> None:
    path = f"pipelines/{pipeline.pk}"
    seen = editor.get(path)["ETag"]
    current = editor.patch(path, {"name": "New"}, If_Match=seen)
    before = kept()
    for refused in (editor.put(path, {"name": "Newer"}, If_Match=seen), admin.delete(path, If_Match=seen)):
        assert refusal(refused) == (412, "PRECONDITION_FAILED", [])
        assert refused.json()["current"] == current.json()
        assert refused["ETag"] == current["ETag"]
    assert kept() == before
    assert editor.get(path, If_None_Match=current["ETag"]).status_code == 304


def test_a_dry_run_makes_changes_and_removes_nothing(admin: Api, pipeline: Pipeline) -> None:
    before = kept()
    assert admin.post("pipelines?dry_run=true", {"name": "New"}).status_code == 201
    assert admin.post("pipelines?dry_run=true", {"name": "New", "slug": "web-shop"}).status_code == 409
    assert admin.patch(f"pipelines/{pipeline.pk}?dry_run=true", {"parameters": {"a": "1"}}).status_code == 200
    assert admin.delete(f"pipelines/{pipeline.pk}?dry_run=true").json() == {"status": "removed"}
    assert kept() == before


def test_a_deleted_pipeline_is_gone_its_history_stays_and_its_slug_is_free(
    admin: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    admin.patch(f"pipelines/{pipeline.pk}", {"parameters": {"a": "1"}})
    pin = PinFactory(organisation=organisation, pipeline=pipeline)
    before, version = counts(), version_of(organisation)

    assert admin.delete(f"pipelines/{pipeline.pk}").json() == {"status": "removed"}

    assert grown(before) == {"history": 3, "audit": 1, "versions": 1}
    assert version_of(organisation) == version + 1
    path = f"pipelines/{pipeline.pk}"
    for tail in ("", "/integrations", f"/integrations/{pin.pk}", "/history", "/config", "/config?version=1"):
        assert refusal(admin.get(path + tail)) == (404, "NOT_FOUND", [])
    for answer in (
        admin.put(path, {"name": "x"}),
        admin.delete(path),
        admin.put(f"{path}/parameters/a", {"value": "2"}),
        admin.delete(f"{path}/parameters/a"),
        admin.post(f"{path}/integrations", {"integration_id": pin.template_id, "revision_id": pin.revision_id}),
        admin.delete(f"{path}/integrations/{pin.pk}"),
    ):
        assert refusal(answer) == (404, "NOT_FOUND", [])
    assert admin.get("pipelines").json()["pipelines"] == []
    assert admin.get("pipeline-integrations").json()["integrations"] == []
    assert [model.objects.filter(pipeline=pipeline).count() for model in (Pin, Parameter, Label)] == [0, 0, 0]
    assert HistoryEntry.objects.filter(pipeline=pipeline).count() == 6
    assert admin.post("pipelines", {"name": "Web Shop"}).json()["slug"] == "web-shop"


def test_a_token_limited_to_a_deleted_pipeline_is_not_widened(
    admin: Api, organisation: Organisation, pipeline: Pipeline
) -> None:
    actor = system(organisation)
    token, _ = issue_limited_token(actor=actor, name="edge", scope=Role.PROCESSOR, pipelines=[pipeline.pk])
    admin.delete(f"pipelines/{pipeline.pk}")
    assert list(TokenPipeline.objects.filter(token=token).values_list("pipeline_id", flat=True)) == [pipeline.pk]
    assert admin.get("tokens").json()["tokens"][0]["pipelines"] == [pipeline.pk]


def test_the_list_finds_by_label_type_flag_and_text(viewer: Api, organisation: Organisation) -> None:
    actor = system(organisation)
    live, red = {"stage": "live"}, {"colour": "red"}
    create_pipeline(actor=actor, name="Alpha", labels=live | red)
    create_pipeline(actor=actor, name="Beta", labels=live, type="app")
    create_pipeline(actor=actor, name="Gamma", labels=red, enabled=False, slug="alphabet")
    empty = create_pipeline(actor=actor, name="Delta", labels={"stage": ""}, type="server")

    def found(**query: Any) -> list[str]:
        return [shown["name"] for shown in viewer.get("pipelines", query).json()["pipelines"]]

    assert found() == ["Alpha", "Beta", "Gamma", "Delta"]
    assert found(label="stage:live") == ["Alpha", "Beta"]
    assert found(label=["stage:live", "colour:red"]) == ["Alpha"]
    assert found(label=["stage:live", "stage:dead"]) == []
    assert found(label="stage:") == ["Delta"]
    assert found(type="app") == ["Beta"]
    assert found(enabled="false") == ["Gamma"]
    assert found(enabled="true", label="colour:red") == ["Alpha"]
    assert found(q="ALPHA") == ["Alpha", "Gamma"]
    assert found(q=empty.pk) == ["Delta"]
    assert found(q=empty.pipeline_key) == ["Delta"]
    assert found(q="%") == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("label=stage", ("label", "invalid")),
        ("label=:x", ("label", "invalid")),
        ("type=mail", ("type", "invalid_choice")),
        ("enabled=yes", ("enabled", "not_a_flag")),
        ("lable=a:b", ("lable", "unknown_filter")),
        ("limit=0", ("limit", "out_of_range")),
        ("limit=101", ("limit", "out_of_range")),
        ("limit=ten", ("limit", "out_of_range")),
        ("cursor=nonsense", ("cursor", "invalid_cursor")),
        ("cursor=WzEsMl0", ("cursor", "invalid_cursor")),
    ],
)
def test_a_list_refuses_what_it_cannot_read(viewer: Api, query: str, detail: tuple[str, str]) -> None:
    status, code, details = refusal(viewer.get(f"pipelines?{query}"))
    assert (status, code, details[0]) == (400, "BAD_REQUEST", detail)


def test_pages_hold_everything_once_also_where_times_are_the_same(viewer: Api, organisation: Organisation) -> None:
    pipelines = [PipelineFactory(organisation=organisation, parameters=wishes(a="1")) for _ in range(7)]
    Pipeline.objects.update(created_at=pipelines[0].created_at)
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = viewer.get("pipelines", {"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += [shown["id"] for shown in page["pipelines"]]
        cursor, pages = page["next_cursor"], pages + 1
        assert page["has_more"] == (cursor is not None)
    assert (pages, seen) == (3, sorted(pipeline.pk for pipeline in pipelines))
