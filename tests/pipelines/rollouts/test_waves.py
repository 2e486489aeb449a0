"""How waves and durations are written, and how far a wave reaches."""

import pytest

from accounts.errors import Invalid
from pipelines.rollouts.waves import as_duration, parse_duration, parse_waves, reaches


@pytest.mark.parametrize(
    ("text", "total", "ends"),
    [
        ("100%", 7, [7]),
        ("100%", 0, []),
        ("1,10%,100%", 1000, [1, 100, 1000]),
        ("1,10%,100%", 15, [1, 2, 15]),
        ("1,10%,100%", 5, [1, 5]),  # ten percent of five, rounded up, is the one that has moved already
        ("1,10%,100%", 1, [1]),
        ("50%,100%", 3, [2, 3]),
        ("500, 100%", 3, [3]),
        ("10,5,100%", 100, [10, 100]),
        ("33%,66%,100%", 100_000, [33_000, 66_000, 100_000]),
    ],
)
def test_each_wave_reaches_so_far_and_those_that_would_add_nothing_are_left_out(
    text: str, total: int, ends: list[int]
) -> None:
    assert reaches(parse_waves(text), total) == ends


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_wave"),
        ("1,,100%", "invalid_wave"),
        ("0,100%", "invalid_wave"),
        ("0%,100%", "invalid_wave"),
        ("101%,100%", "invalid_wave"),
        ("1.5,100%", "invalid_wave"),
        ("-1,100%", "invalid_wave"),
        ("\u0661,100%", "invalid_wave"),
        ("all", "invalid_wave"),
        ("1,10%", "incomplete"),
        ("100", "incomplete"),
        (",".join(["1"] * 20 + ["100%"]), "too_many"),
    ],
)
def test_waves_that_cannot_be_are_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_waves(text, "waves")
    assert [(detail.field, detail.code) for detail in caught.value.details] == [("waves", code)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), (" 1d ", 86_400), ("30d", 2_592_000)],
)
def test_durations_are_read_in_seconds_minutes_hours_and_days(text: str, seconds: int) -> None:
    assert parse_duration(text, "soak") == seconds


@pytest.mark.parametrize("text", ["", "m", "1w", "1.5h", "-5m", "31d", "9999999d", "1h30m"])
def test_durations_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_duration(text, "soak")
    assert [(detail.field, detail.code) for detail in caught.value.details] == [("soak", "invalid_duration")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1, "1s"), (90, "90s"), (600, "10m"), (7200, "2h"), (86_400, "1d"), (90_000, "25h")],
)
def test_a_duration_is_written_as_it_is_read(seconds: int, text: str) -> None:
    assert as_duration(seconds) == text
    assert parse_duration(text, "soak") == seconds
