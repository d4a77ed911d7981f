"""The parser: which expressions it accepts, what they mean, and the texts of its errors."""

from __future__ import annotations

import string
from contextlib import suppress
from time import thread_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aioq.errors import AioqError
from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.expression.dialects import CRON
from aioq_cron.expression.parser import parse_fields
from tests.times import runs

EVERY_DAY = tuple(range(1, 32))
COUNT = "expected 5 fields (minute hour day-of-month month day-of-week), got"
READ = "it means"
OFF = "; to switch an entry off use enabled=False"
DECORATE = "and decorate the function to call"


@pytest.mark.parametrize(
    ("minute", "values"),
    [
        ("*", tuple(range(60))),
        ("7", (7,)),
        ("007", (7,)),
        ("3,1,2,1", (1, 2, 3)),
        ("10-13", (10, 11, 12, 13)),
        ("5-5", (5,)),
        ("10-20/4", (10, 14, 18)),
        ("*/25", (0, 25, 50)),
        ("*/60", (0,)),
        ("40/8", (40, 48, 56)),
        ("59/15", (59,)),
        ("1,20-22,*/30", (0, 1, 20, 21, 22, 30)),
    ],
)
def test_parse_item_yields_its_values(minute: str, values: tuple[int, ...]) -> None:
    """Numbers, lists, ranges, steps and open-ended steps mean what cron means by them."""
    assert parse_fields(f"{minute} * * * *").minutes == values


@pytest.mark.parametrize(
    ("weekday", "values"),
    [
        ("7", (0,)),
        ("0-7", (0, 1, 2, 3, 4, 5, 6)),
        ("5-7", (0, 5, 6)),
        ("MON-SUN", (0, 1, 2, 3, 4, 5, 6)),
        ("fri-Sun", (0, 5, 6)),
        ("SUN-SUN", (0,)),
        ("SUN-TUE", (0, 1, 2)),
        ("mon-mon", (1,)),
        ("mon-5", (1, 2, 3, 4, 5)),
        ("MON,wed,6", (1, 3, 6)),
        ("*/7", (0,)),
        ("*/2", (0, 2, 4, 6)),
        ("5/1", (0, 5, 6)),
        ("7-2", (0, 1, 2)),
        ("FRI-MON", (0, 1, 5, 6)),
        ("5-0", (0, 5, 6)),
    ],
)
def test_parse_weekday_takes_0_and_7_as_sunday(weekday: str, values: tuple[int, ...]) -> None:
    """Weekdays run from 0 to 7, and 0 and 7 are both Sunday; `SUN` at the end of a range is 7."""
    assert parse_fields(f"0 0 * * {weekday}").weekdays == values


@pytest.mark.parametrize(
    ("month", "values"), [("jan-mar", (1, 2, 3)), ("Dec", (12,)), ("oct-12", (10, 11, 12)), ("FEB/5", (2, 7, 12))]
)
def test_parse_month_name_in_any_case(month: str, values: tuple[int, ...]) -> None:
    """Months have names of three letters in any case: alone, in ranges and with steps."""
    assert parse_fields(f"0 0 1 {month} *").months == values


@pytest.mark.parametrize(
    ("nickname", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" @Daily\t", "0 0 * * *"),
    ],
)
def test_parse_nickname_equals_its_expression(nickname: str, expression: str) -> None:
    """Each nickname means the expression that the cron manual gives for it."""
    assert parse_fields(nickname) == parse_fields(expression)


def test_parse_ignores_extra_blanks_and_tabs() -> None:
    """Leading, trailing and repeated blanks and tabs change nothing, nor does the end of the line that a file has."""
    assert parse_fields("0 9 * * 1-5\r\n") == parse_fields("0 9 * * 1-5")
    assert parse_fields("\t 0  9 \t* * 1-5 ") == parse_fields("0 9 * * 1-5")


@pytest.mark.parametrize(
    ("expression", "first_three"),
    [
        ("5-5 * * * *", ["2026-01-01 00:05", "2026-01-01 01:05", "2026-01-01 02:05"]),
        ("0 5-5 * * *", ["2026-01-01 05:00", "2026-01-02 05:00", "2026-01-03 05:00"]),
        ("0 0 * * mon-mon", ["2026-01-05 00:00", "2026-01-12 00:00", "2026-01-19 00:00"]),
        ("0 0 3-3 * *", ["2026-01-03 00:00", "2026-02-03 00:00", "2026-03-03 00:00"]),
        ("59/15 * * * *", ["2026-01-01 00:59", "2026-01-01 01:59", "2026-01-01 02:59"]),
        ("0 0 */100,1-7 * MON", ["2026-01-05 00:00", "2026-02-02 00:00", "2026-03-02 00:00"]),
        ("0 0 1-7 * */7", ["2026-01-04 00:00", "2026-02-01 00:00", "2026-03-01 00:00"]),
        ("0 0 */2 * 1", ["2026-01-05 00:00", "2026-01-19 00:00", "2026-02-09 00:00"]),
        ("0 0 13 * FRI", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]),
        ("0 0 1-31 * MON", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 31 2 MON", ["2026-02-02 00:00", "2026-02-09 00:00", "2026-02-16 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
    ],
)
def test_expression_runs_match_cron(expression: str, first_three: list[str]) -> None:
    """Ranges of one value, steps beyond the end, and combined day fields fire as in cron."""
    assert runs(expression, "UTC", "2026-01-01 00:00", 3) == [f"{run} +00:00" for run in first_three]


@pytest.mark.parametrize(
    ("expression", "either"),
    [
        ("0 0 1 * 1", True),
        ("0 0 * * 1", False),
        ("0 0 1 * *", False),
        ("0 0 */2 * 1", False),
        ("0 0 1 * */2", False),
        ("0 0 1,* * 1", True),
    ],
)
def test_parse_day_fields_or_unless_leading_star(expression: str, either: bool) -> None:
    """Day of month and day of week are combined with OR, and with AND if one of them starts with a star."""
    assert parse_fields(expression).either_day is either


@pytest.mark.parametrize(
    ("expression", "wildcard"),
    [
        ("* 2 * * *", True),
        ("30 * * * *", True),
        ("*/5 2 * * *", True),
        ("0 */2 * * *", True),
        ("@hourly", True),
        ("0-59 0-23 * * *", False),
        ("30 2 * * *", False),
        ("1,* 2 * * *", False),
    ],
)
def test_parse_leading_star_marks_wildcard(expression: str, wildcard: bool) -> None:
    """An expression is a wildcard expression if its minute or its hour starts with a star."""
    assert parse_fields(expression).wildcard is wildcard


ERRORS = [
    (
        "0 0 9 * * *",
        (
            f'{COUNT} 6; {READ} \'at 09:00 every day\' with seconds="first" or dialect="spring", '
            '\'at 00:00 on day 9 of the month, every second of the minute\' with seconds="last" or dialect="croniter"'
        ),
    ),
    (
        "*/15 * * * * *",
        (
            f'{COUNT} 6; {READ} \'every 15 seconds\' with seconds="first" or dialect="spring", '
            '\'every 15 minutes, every second of the minute\' with seconds="last" or dialect="croniter"'
        ),
    ),
    (
        "30 9 * * 1 *",
        (
            f"{COUNT} 6; {READ} 'at minute 9 past every hour in January, at second 30 of the minute' "
            'with seconds="first" or dialect="spring", '
            '\'at 09:30 on Monday, every second of the minute\' with seconds="last" or dialect="croniter"'
        ),
    ),
    (
        "0 0 12 ? * 1",
        (
            f'{COUNT} 6; {READ} \'at 12:00 on Monday\' with seconds="first" or dialect="spring", '
            "'at 12:00 on Sunday' with dialect=\"quartz\""
        ),
    ),
    (
        "0 9 ? * 2 2026",
        f"{COUNT} 6; {READ} 'at 09:00 on Monday in the year 2026' with dialect=\"aws\"",
    ),
    (
        "0 0 12 ? * MON 2026",
        f"{COUNT} 7; {READ} 'at 12:00 on Monday in the year 2026' with dialect=\"quartz\"",
    ),
    ("61 0 12 * * 1 1", f"{COUNT} 7"),
    (
        "CRON_TZ=Europe/Berlin 0 9 * * *",
        'CRON_TZ=Europe/Berlin is not a field; write "0 9 * * *" and tz="Europe/Berlin"',
    ),
    ("TZ=UTC @daily", 'TZ=UTC is not a field; write "@daily" and tz="UTC"'),
    ("0 9 * * * /usr/bin/foo", f"'/usr/bin/foo' begins the command of a crontab; write \"0 9 * * *\" {DECORATE}"),
    ("@daily /usr/bin/foo -x", f"'/usr/bin/foo' begins the command of a crontab; write \"@daily\" {DECORATE}"),
    (
        "17 * * * * root cd / && run-parts",
        f"'root' may be the user of a crontab, and the rest its command; write \"17 * * * *\" {DECORATE}",
    ),
    ("0 9 * *", f"{COUNT} 4"),
    ("", f"{COUNT} 0"),
    ("daily", f"{COUNT} 1"),
    ("60 * * * *", 'minute field: 60 is outside 0-59, in "60 * * * *"'),
    ("0 24 * * *", 'hour field: 24 is outside 0-23, in "0 24 * * *"'),
    ("0 0 0 * *", 'day-of-month field: 0 is outside 1-31, in "0 0 0 * *"'),
    ("0 0 1 13 *", 'month field: 13 is outside 1-12, in "0 0 1 13 *"'),
    ("0  0 * *\t8", 'day-of-week field: 8 is outside 0-7, in "0 0 * * 8"'),
    ("*/90 * * * *", 'minute field: step 90 is outside 1-60, in "*/90 * * * *"; it would match 0 alone'),
    ("0 */48 * * *", 'hour field: step 48 is outside 1-24, in "0 */48 * * *"; it would match 0 alone'),
    ("0 0 */45 * *", 'day-of-month field: step 45 is outside 1-31, in "0 0 */45 * *"; it would match 1 alone'),
    ("5/0 * * * *", 'minute field: step 0 is outside 1-60, in "5/0 * * * *"'),
    ("0 0 * * MONDAY", "day-of-week field: 'MONDAY' is not a name; use MON"),
    ("0 0 * * mno", "day-of-week field: 'mno' is not a name; use MON"),
    ("0 0 * * mon-friday", "day-of-week field: 'friday' is not a name; use FRI"),
    ("0 0 1 Juli *", "month field: 'Juli' is not a name; use JUL"),
    ("0 0 * * FOO", "day-of-week field: 'FOO' is not a name; use 0-7 or SUN, MON, TUE, WED, THU, FRI, SAT"),
    ("noon * * * *", "minute field: 'noon' is not a number, in \"noon * * * *\""),
    ("1,,2 * * * *", 'minute field: a list has an empty item, in "1,,2 * * * *"'),
    ("-5 * * * *", "minute field: '-5' is not a number, a range or *, in \"-5 * * * *\""),
    ("*-5 * * * *", "minute field: '*-5' is not a number, a range or *, in \"*-5 * * * *\""),
    ("*/5/2 * * * *", "minute field: '*/5/2' is not a number, a range or *, in \"*/5/2 * * * *\""),
    ("@noon", f"'@noon' is not a nickname; use one of {', '.join(CRON.nicknames)}"),
    ("@reboot", "'@reboot' is not a nickname; for work at the start of a worker use the lifespan of the app"),
    ("@weekdays", "'@weekdays' is not a nickname; write \"0 0 * * 1-5\""),
    ("@dayly", "'@dayly' is not a nickname; did you mean @daily?"),
    ("@every 5m", "'@every 5m' is not a nickname; for a plain interval use aioq_cron.Every"),
    ("0 0 31 2 *", f'"0 0 31 2 *" never matches: no month in (2) has day 31{OFF}'),
    ("0 0 31 2-2 *", f'"0 0 31 2-2 *" never matches: no month in (2) has day 31{OFF}'),
    ("0 0 31 2,4,jun *", f'"0 0 31 2,4,jun *" never matches: no month in (2, 4, 6) has day 31{OFF}'),
    ("0 0 L-30 2 *", f'"0 0 L-30 2 *" never matches: no month in (2) has day L-30{OFF}'),
    (
        "0 0 */29,1-3 2 5L",
        f'"0 0 */29,1-3 2 5L" never matches: no month in (2) has day 1 or 2 or 3 or 30 that is 5L{OFF}',
    ),
    ("0 0 30,31 2 */2", f'"0 0 30,31 2 */2" never matches: no month in (2) has day 30 or 31{OFF}'),
    ("*/1," * 50_000, "the expression has 200,000 characters and the limit is 1,000"),
]


@pytest.mark.parametrize(("expression", "message"), ERRORS, ids=[expression[:20] for expression, _ in ERRORS])
def test_parse_invalid_expression_error_text(expression: str, message: str) -> None:
    """The error names the field, quotes the expression, and says what to write instead."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(expression)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("expression", "problem", "hint"),
    [
        ("0 0 1,? * *", "'?' ('no particular day') is not supported", "; write * for each value"),
        ("? * * * *", "'?' ('no particular day') is not supported", "; write * for each value"),
        ("0 0 * * L", "'L' (Saturday in Quartz, the last day elsewhere) is not supported",
         "; write SAT, or L as the day of month"),
        ("0 0 * * L5", "'L5' (last weekday as croniter writes it) is not supported",
         "; write the weekday first, as in 5L"),
        ("0 0 5L * *", "'5L' (last day) is not supported",
         "; write L or L-3 as the day of month, or 5L as the day of week"),
        ("0 0 L-31 * *", "31 is outside 0-30", ""),
        ("0 0 32W * *", "32 is outside 1-31", ""),
        ("0 0 * * 15W", "'15W' (nearest working day) is not supported",
         "; write one day and W as the day of month, as in 15W"),
        ("0 0 1-5W * *", "'1-5W' (nearest working day) is not supported",
         "; write one day and W as the day of month, as in 15W"),
        ("0 0 * * 1#6", "6 is outside 1-5", ""),
        ("0 0 * * 8#1", "8 is outside 0-7", ""),
        ("0 0 1#2 * *", "'1#2' (nth weekday of the month) is not supported",
         "; write a weekday, # and 1 to 5 as the day of week, as in MON#2"),
        ("H-5 * * * *", "'H-5' (hashed value) is not supported", "; write H, H/15, H(0-29) or H(0-29)/10"),
        ("R * * * *", "'R' (random value, an extension of croniter) is not supported",
         "; write one value, and spread the runs with jitter="),
        ("0~30 * * * *", "'0~30' (random value, an extension of cronie) is not supported",
         "; write one value, and spread the runs with jitter="),
    ],
)  # fmt: skip
def test_parse_misplaced_extension_says_what_to_write(expression: str, problem: str, hint: str) -> None:
    """A form of another dialect, or in the wrong field, is an error that names its meaning and what to write instead."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(expression)
    assert str(refused.value).partition(" field: ")[2] == f'{problem}, in "{expression}"{hint}'


@pytest.mark.parametrize(
    ("expression", "character", "position"),
    [
        ("5 *\n* * *", r"\n", 4),
        ("0 9\v* * *", r"\x0b", 4),
        ("0\N{NO-BREAK SPACE}9 * * *", r"\xa0", 2),
        ("\N{FULLWIDTH DIGIT FIVE} * * * *", r"\uff15", 1),
        ("* \N{ARABIC-INDIC DIGIT FIVE} * * *", r"\u0665", 3),
        ("\0 * * * *", r"\x00", 1),
    ],
)
def test_parse_non_ascii_character_is_refused(expression: str, character: str, position: int) -> None:
    """Line breaks, other blanks and other digits are shown by their code and their position."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(expression)
    message = str(refused.value)
    assert message.startswith(f"the character '{character}' at position {position} is not allowed; use ASCII letters")


@pytest.mark.parametrize("expression", [None, 5, 5.5, b"* * * * *", ["*"] * 5])
def test_expression_of_wrong_type_raises_type_error(expression: object) -> None:
    """An expression that is not a str raises a TypeError that shows an example."""
    with pytest.raises(TypeError, match=r'^a cron expression is a str such as "0 9 \* \* \*", got '):
        CronExpression(expression)  # type: ignore[arg-type]


def test_error_has_expression_and_field() -> None:
    """The error has the expression and the field as attributes, and is an AioqError and a ValueError."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression("0 24 * * *")
    assert (refused.value.expression, refused.value.field) == ("0 24 * * *", "hour")
    assert isinstance(refused.value, AioqError)
    assert isinstance(refused.value, ValueError)


def test_error_for_long_expression_stays_short() -> None:
    """The error quotes only a part of a long expression."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression(f"{'1,' * 400}60 * * * *")
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("field", range(5))
@pytest.mark.parametrize("step", [1, 2, 3])
def test_parse_backward_range_wraps_around(field: int, step: int) -> None:
    """A range whose end is before its start goes on after the end of the field, and so do its steps."""
    low, high = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)][field]
    circle = [*range(low, high + 1)] * 2
    for first, last in [(high, low), (high - 1, low), (high, low + 1), (high - 1, low + 2), (low + 1, low)]:
        fields = ["*"] * 5
        fields[field] = f"{first}-{last}/{step}"
        parsed = parse_fields(" ".join(fields))
        values = (parsed.minutes, parsed.hours, parsed.days, parsed.months, parsed.weekdays)[field]
        start = circle.index(first)
        assert set(values) == set(circle[start : circle.index(last, start) + 1 : step])


PIECES = st.sampled_from([*"0123456789*/,-#?LWRH@~ \t", "MON", "jan", "SUN", "60", "31", "*/", " * * *"])


@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=60) | st.text(string.printable, max_size=40))
@example("1-2-3 * * * *")
@settings(deadline=None)
def test_parse_any_text_or_raise_invalid(text: str) -> None:
    """Any text gives a schedule or an InvalidCronExpression, and takes at most 50 ms of processor time."""
    # Repeat a slow parse: processor time also grows when other programs evict the caches.
    assert any(_seconds_to_parse(text) < 0.05 for _ in range(3))


@pytest.mark.parametrize(
    "text",
    [
        "*/1," * 247 + "1 * * * *",
        ",".join(["0-59"] * 190) + " * * * *",
        "9" * 990 + " * * * *",
        "* * * * " + "x" * 990,
        "* * * * " + "?#" * 490,
        "H(" + ")" * 900 + " * * * *",
        "@" + "d" * 999,
        "* " * 500,
        "*/1," * 50_000,
    ],
    ids=range(9),
)
def test_parse_hostile_text_within_50_ms(text: str) -> None:
    """The longest and oddest texts are parsed or refused within 50 ms of processor time."""
    best = min(_seconds_to_parse(text) for _ in range(3))
    assert best < 0.05


def _seconds_to_parse(text: str) -> float:
    start = thread_time()
    with suppress(InvalidCronExpression):
        CronExpression(text)
    return thread_time() - start
