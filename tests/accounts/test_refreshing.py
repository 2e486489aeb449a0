"""Refreshing and logging out: each refresh token is good once, and a second use ends every session of its user."""

from datetime import timedelta
from functools import partial

import time_machine

from accounts.errors import Unauthenticated
from accounts.models import AuditEntry, RefreshToken, User
from accounts.sessions import Session, log_in, log_out, refresh
from accounts.users import update_user
from tests.accounts.evidence import audited, everything
from tests.accounts.threads import side_by_side, tally
from tests.clients import Api
from tests.conftest import Cast
from tests.factories import PASSWORD, actor_of

DEAD = {
    "error": {
        "code": "INVALID_REFRESH_TOKEN",
        "message": "This refresh token is not valid any more. Log in again.",
        "details": [],
    },
}


def begin(user: User) -> Session:
    return log_in(email=user.email, password=PASSWORD)


def use(tokens: list[str], number: int) -> bool:
    return refused(tokens[number])


def refused(token: str) -> bool:
    try:
        refresh(refresh_token=token)
    except Unauthenticated:
        return True
    return False


def test_a_refresh_gives_a_new_pair(nobody: Api, viewer_user: User) -> None:
    first = begin(viewer_user)

    answer = nobody.post("auth/refresh", {"refresh_token": first.refresh_token})

    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    second = answer.json()
    assert sorted(second) == ["access_token", "expires_in", "refresh_token", "token_type"]
    assert second["refresh_token"] != first.refresh_token
    assert Api(second["access_token"]).get("me").status_code == 200


def test_using_a_refresh_token_again_ends_all_sessions_of_its_user_and_of_nobody_else(
    nobody: Api, viewer_user: User, editor_user: User
) -> None:
    first, elsewhere, others = begin(viewer_user), begin(viewer_user), begin(editor_user)
    child = refresh(refresh_token=first.refresh_token)

    again = nobody.post("auth/refresh", {"refresh_token": first.refresh_token})

    assert (again.status_code, again.json()) == (401, DEAD)
    assert refused(child.refresh_token)
    assert refused(elsewhere.refresh_token)
    assert not refused(others.refresh_token)
    assert audited()[-1] == ("user.refresh_token_reused", "viewer@acme.example")


def test_reuse_is_told_to_the_admins_once(viewer_user: User) -> None:
    first = begin(viewer_user)
    refresh(refresh_token=first.refresh_token)
    assert [refused(first.refresh_token) for _ in range(3)] == [True] * 3
    assert AuditEntry.objects.filter(action="user.refresh_token_reused").count() == 1


def test_an_unknown_an_expired_and_a_foreign_looking_token_are_refused_alike(nobody: Api, viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        session = begin(viewer_user)
        clock.shift(timedelta(days=14))
        before = everything()
        tokens = [session.refresh_token, session.access_token, "unknown", "x" * 256, "é"]
        answers = [nobody.post("auth/refresh", {"refresh_token": token}) for token in tokens]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, DEAD)] * 5
    assert everything() == before


def test_a_refresh_token_is_good_to_its_last_second(viewer_user: User) -> None:
    with time_machine.travel("2026-03-01T10:00:00Z", tick=False) as clock:
        session = begin(viewer_user)
        clock.shift(timedelta(days=14) - timedelta(seconds=1))
        assert not refused(session.refresh_token)


def test_a_disabled_user_has_no_session_left_even_when_enabled_again(viewer_user: User, admin_user: User) -> None:
    session = begin(viewer_user)
    update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, disabled=True)
    assert refused(session.refresh_token)
    update_user(actor=actor_of(admin_user), user_id=viewer_user.pk, disabled=False)
    assert refused(session.refresh_token)


def test_of_eight_refreshes_side_by_side_with_one_token_exactly_one_succeeds(
    committed_db: str, viewer_user: User
) -> None:
    session = begin(viewer_user)

    def trade(number: int) -> str:
        try:
            return refresh(refresh_token=session.refresh_token).refresh_token
        except Unauthenticated as refusal:
            return refusal.code

    outcomes = side_by_side(8, trade)

    children = [outcome for outcome in outcomes if outcome != "INVALID_REFRESH_TOKEN"]
    assert len(children) == 1
    assert refused(children[0]), "The seven others used a spent token, which ends the winner's session too."
    assert RefreshToken.objects.count() == 0
    assert AuditEntry.objects.filter(action="user.refresh_token_reused").count() == 1


def test_no_child_made_at_the_moment_of_a_reuse_survives_it(committed_db: str, viewer_user: User) -> None:
    for _ in range(5):
        spent = begin(viewer_user)
        live = refresh(refresh_token=spent.refresh_token)
        both = [spent.refresh_token, live.refresh_token]
        side_by_side(2, partial(use, both))
        assert RefreshToken.objects.filter(used_at=None).count() == 0


def test_logging_out_ends_that_session_only(viewer: Api, viewer_user: User) -> None:
    ended, stays = begin(viewer_user), begin(viewer_user)

    answer = viewer.post("auth/logout", {"refresh_token": ended.refresh_token})

    assert (answer.status_code, answer.content) == (204, b"")
    assert refused(ended.refresh_token)
    assert not refused(stays.refresh_token)
    assert audited()[-1] == ("user.logged_out", "viewer@acme.example")


def test_logging_out_twice_is_no_error_and_changes_nothing_more(viewer: Api, viewer_user: User) -> None:
    session = begin(viewer_user)
    viewer.post("auth/logout", {"refresh_token": session.refresh_token})
    before = everything()
    assert viewer.post("auth/logout", {"refresh_token": session.refresh_token}).status_code == 204
    assert everything() == before


def test_logging_out_with_a_spent_token_counts_as_its_second_use(viewer: Api, viewer_user: User) -> None:
    spent = begin(viewer_user)
    child = refresh(refresh_token=spent.refresh_token)

    assert viewer.post("auth/logout", {"refresh_token": spent.refresh_token}).status_code == 204

    assert refused(child.refresh_token)
    assert audited()[-1] == ("user.refresh_token_reused", "viewer@acme.example")


def test_nobody_ends_the_session_of_someone_else(cast: Cast, viewer_user: User) -> None:
    session = begin(viewer_user)
    before = everything()

    answers = {
        name: cast[name].post("auth/logout", {"refresh_token": session.refresh_token}).status_code
        for name in ("editor", "admin", "stranger", "processor", "nobody")
    }

    assert answers == {"editor": 204, "admin": 204, "stranger": 204, "processor": 403, "nobody": 401}
    assert everything() == before
    assert not refused(session.refresh_token)


def test_a_session_refreshed_and_logged_out_at_once_is_over(committed_db: str, viewer_user: User) -> None:
    for _ in range(5):
        session = begin(viewer_user)

        def act(number: int, token: str = session.refresh_token) -> bool:
            if number:
                return refused(token)
            log_out(actor=actor_of(viewer_user), refresh_token=token)
            return True

        tally(side_by_side(2, act))
        assert RefreshToken.objects.filter(used_at=None).count() == 0
