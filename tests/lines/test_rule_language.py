"""The rule language: what it says, that it reads back, and where it says that a rule is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.errors import RulesRefused
from hitcounter.lines.rule_language import MOST_TERMS, parse_win, term_text
from hitcounter.lines.terms import HIGHEST, At, Every, First, FirstAfter, Last, Term

#: 2026-12-05, 13:00 in Berlin.
NOON = 1_796_472_000.0
#: The same day at 20:00 there.
EVENING = 1_796_497_200.0


@pytest.mark.parametrize(
    ('text', 'terms'),
    [
        ('every 100', (Every(100, 100),)),
        ('every 1', (Every(1, 1),)),
        ('every 100 from 50', (Every(100, 50),)),
        ('every 100 from 250', (Every(100, 250),)),
        ('every 1000000000', (Every(HIGHEST, HIGHEST),)),
        ('at 9', (At(9),)),
        ('at 9,99,999', (At(9), At(99), At(999))),
        ('at 999 , 99,9', (At(999), At(99), At(9))),
        ('first 5', (First(5),)),
        ('last', (Last(),)),
        ('first after 20:00', (FirstAfter(EVENING),)),
        ('first after 20:00:00', (FirstAfter(EVENING),)),
        ('first after 20:00:00.5', (FirstAfter(EVENING + 0.5),)),
        ('first after 2026-12-05 20:00', (FirstAfter(EVENING),)),
        ('first after 2026-12-05   20:00:00', (FirstAfter(EVENING),)),
        ('first after 2026-12-05T20:00', (FirstAfter(EVENING),)),
        ('first after 2026-12-05t20:00', (FirstAfter(EVENING),)),
        ('first after 2026-12-05T20:00:00+01:00', (FirstAfter(EVENING),)),
        ('first after 2026-12-05T19:00:00Z', (FirstAfter(EVENING),)),
        ('first after 2026-12-05t19:00z', (FirstAfter(EVENING),)),
        ('at 9 and every 50', (At(9), Every(50, 50))),
        ('at 9 and also every 50', (At(9), Every(50, 50))),
        ('first after 20:00 and also last', (FirstAfter(EVENING), Last())),
        ('first 1 and first after 20:00 and last', (First(1), FirstAfter(EVENING), Last())),
        ('  AT  9,99   And ALSO Every 50 FROM 7  ', (At(9), At(99), Every(50, 7))),
        ('every 100 and at 100', (Every(100, 100), At(100))),
    ],
)
def test_a_rule_is_its_terms(text: str, terms: tuple[Term, ...]) -> None:
    assert parse_win(text, zone='Europe/Berlin', day=NOON) == terms


NUMBER = 'give a number from 1 to 1,000,000,000, as in 1000'
TERMS = 'a rule is made of every 100, every 100 from 50, at 9,99, first 5, first after 20:00 and last, joined by and'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', f"the rule '' is empty: {TERMS}"),
        ('   ', f"the rule '   ' is empty: {TERMS}"),
        (' ' * 100, f'the rule {" " * 60!r} is empty: {TERMS}'),
        ('at 0', f"the rule 'at 0' has '0' at character 4: {NUMBER}"),
        ('at 9,0', f"the rule 'at 9,0' has '0' at character 6: {NUMBER}"),
        ('every 0', f"the rule 'every 0' has '0' at character 7: {NUMBER}"),
        ('every 100 from 0', f"the rule 'every 100 from 0' has '0' at character 16: {NUMBER}"),
        ('first 0', f"the rule 'first 0' has '0' at character 7: {NUMBER}"),
        ('at -9', f"the rule 'at -9' has '-9' at character 4: {NUMBER}"),
        ('at +9', f"the rule 'at +9' has '+9' at character 4: {NUMBER}"),
        ('at 9.5', f"the rule 'at 9.5' has '9.5' at character 4: {NUMBER}"),
        ('at 1e3', f"the rule 'at 1e3' has '1e3' at character 4: {NUMBER}"),
        ('at 1_000', f"the rule 'at 1_000' has '1_000' at character 4: {NUMBER}"),
        ('at 10,050', f"the rule 'at 10,050' has '050' at character 7: {NUMBER}"),
        ('at 1000000001', f"the rule 'at 1000000001' has '1000000001' at character 4: {NUMBER}"),
        ('at 10000000000', f"the rule 'at 10000000000' has '10000000000' at character 4: {NUMBER}"),
        ('at ٩', f"the rule 'at ٩' has '٩' at character 4: {NUMBER}"),
        ('at ²', f"the rule 'at ²' has '²' at character 4: {NUMBER}"),
        (
            f'at {"9" * 5000}',
            f'the rule {"at " + "9" * 57 + "..."!r} has {"9" * 60 + "..."!r} at character 4: {NUMBER}',
        ),
        ('at', f"the rule 'at' ends at character 3: {NUMBER}"),
        ('at 9,', f"the rule 'at 9,' ends at character 6: {NUMBER}"),
        ('at ,9', f"the rule 'at ,9' has ',' at character 4: {NUMBER}"),
        ('at 9,,99', f"the rule 'at 9,,99' has ',' at character 6: {NUMBER}"),
        ('every', f"the rule 'every' ends at character 6: {NUMBER}"),
        ('every 100 from', f"the rule 'every 100 from' ends at character 15: {NUMBER}"),
        ('every hundred', f"the rule 'every hundred' has 'hundred' at character 7: {NUMBER}"),
        ('first', f"the rule 'first' ends at character 6: {NUMBER}"),
        ('every 1,000', f"the rule 'every 1,000' has ',' at character 8: {TERMS}"),
        ('at 9 99', f"the rule 'at 9 99' has '99' at character 6: {TERMS}"),
        ('at9', f"the rule 'at9' has 'at9' at character 1: {TERMS}"),
        ('9', f"the rule '9' has '9' at character 1: {TERMS}"),
        ('caller 100 wins', f"the rule 'caller 100 wins' has 'caller' at character 1: {TERMS}"),
        ('every 100 from 50 from 9', f"the rule 'every 100 from 50 from 9' has 'from' at character 19: {TERMS}"),
        ('at 9 or every 5', f"the rule 'at 9 or every 5' has 'or' at character 6: {TERMS}"),
        ('at 9 also every 5', f"the rule 'at 9 also every 5' has 'also' at character 6: {TERMS}"),
        ('at 9 and', f"the rule 'at 9 and' ends at character 9: {TERMS}"),
        ('at 9 and also', f"the rule 'at 9 and also' ends at character 14: {TERMS}"),
        ('at 9 and and last', f"the rule 'at 9 and and last' has 'and' at character 10: {TERMS}"),
        ('and at 9', f"the rule 'and at 9' has 'and' at character 1: {TERMS}"),
        ('last 5', f"the rule 'last 5' has '5' at character 6: {TERMS}"),
        ('__import__("os")', f"""the rule '__import__("os")' has '__import__("os")' at character 1: {TERMS}"""),
        ('at 9,9', "the rule 'at 9,9' has at 9 again at character 6: give each term once"),
        ('at 9 and at 8, 9', "the rule 'at 9 and at 8, 9' has at 9 again at character 16: give each term once"),
        (
            'every 100 and every 100',
            "the rule 'every 100 and every 100' has every 100 again at character 15: give each term once",
        ),
        (
            'every 7 from 7 and every 7',
            "the rule 'every 7 from 7 and every 7' has every 7 again at character 20: give each term once",
        ),
        ('last and last', "the rule 'last and last' has last again at character 10: give each term once"),
        (
            'first after 20:00 and first after 20:00:00',
            "the rule 'first after 20:00 and first after 20:00:00' has first after 2026-12-05T20:00:00+01:00 again at "
            'character 23: give each term once',
        ),
        (
            'at 9\nand last',
            "the rule 'at 9\\nand last' has '\\n' at character 5: write it with letters, digits and blanks",
        ),
        ('at\t9', "the rule 'at\\t9' has '\\t' at character 3: write it with letters, digits and blanks"),
        ('at\xa09', "the rule 'at\\xa09' has '\\xa0' at character 3: write it with letters, digits and blanks"),
        ('\x00', "the rule '\\x00' has '\\x00' at character 1: write it with letters, digits and blanks"),
        ('at 9\ud800', "the rule 'at 9\\ud800' has '\\ud800' at character 5: write it with letters, digits and blanks"),
        (
            'at 9\x1b' + 'x' * 90,
            f'the rule {"at 9" + chr(27) + "x" * 55 + "..."!r} has {chr(27)!r} at character 5: '
            'write it with letters, digits and blanks',
        ),
        ('first after', "the rule 'first after' ends at character 12: give the time, as in first after 20:00"),
        (
            'first after and last',
            "the rule 'first after and last' has 'and' at character 13: give the time, as in first after 20:00",
        ),
        (
            'first after ,20:00',
            "the rule 'first after ,20:00' has ',' at character 13: give the time, as in first after 20:00",
        ),
        (
            'last and first after 25:00',
            "the rule 'last and first after 25:00' has a wrong time at character 22: '25:00' is not a time: a day ends "
            'at 24:00',
        ),
        (
            'first after 2026-10-25 02:30',
            "the rule 'first after 2026-10-25 02:30' has a wrong time at character 13: the local time "
            "'2026-10-25 02:30' is twice in Europe/Berlin: write 2026-10-25T02:30:00+02:00 or "
            '2026-10-25T02:30:00+01:00',
        ),
        (
            'first after 2027-03-28 02:30',
            "the rule 'first after 2027-03-28 02:30' has a wrong time at character 13: the local time "
            "'2027-03-28 02:30' does not exist in Europe/Berlin: write 2027-03-28T01:30:00+01:00 or "
            '2027-03-28T03:30:00+02:00',
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(RulesRefused) as refusal:
        parse_win(text, zone='Europe/Berlin', day=NOON)
    assert str(refusal.value) == message


def test_of_a_long_rule_the_message_shows_the_part_that_is_wrong() -> None:
    text = ' and '.join(f'at {number}' for number in range(1, 41)) + ' und last'
    with pytest.raises(RulesRefused) as refusal:
        parse_win(text)
    shown = f'...{text[-37:]}'
    assert str(refusal.value) == f"the rule {shown!r} has 'und' at character {len(text) - 7}: {TERMS}"


def test_a_time_of_day_needs_a_day() -> None:
    with pytest.raises(RulesRefused, match="at character 13: '20:00' is not a time: it lacks the date"):
        parse_win('first after 20:00')


def test_a_rule_is_a_text() -> None:
    with pytest.raises(RulesRefused, match=r'^the rule 100 is not a text: a rule is made of every 100'):
        parse_win(100)


def test_a_rule_has_a_bounded_number_of_terms() -> None:
    numbers = ','.join(map(str, range(1, MOST_TERMS + 1)))
    assert len(parse_win(f'at {numbers}')) == MOST_TERMS
    with pytest.raises(RulesRefused, match=f'has more than {MOST_TERMS} terms at character 296: give fewer'):
        parse_win(f'at {numbers},{MOST_TERMS + 1}')


WHOLE = st.integers(1, HIGHEST)
#: To the microsecond, which is what texts have.
MOMENTS = st.integers(10**11, 4 * 10**15).map(lambda micro: micro / 10**6)
ANY_TERM = st.one_of(
    st.builds(Every, WHOLE, WHOLE),
    WHOLE.map(lambda step: Every(step, step)),
    st.builds(At, WHOLE),
    st.builds(First, WHOLE),
    st.builds(FirstAfter, MOMENTS),
    st.just(Last()),
)
ZONES = st.sampled_from(['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe'])


@given(st.lists(ANY_TERM, min_size=1, max_size=6, unique=True).map(tuple), ZONES)
def test_terms_read_back_as_the_same(win: tuple[Term, ...], zone: str) -> None:
    text = ' and '.join(term_text(term, zone) for term in win)
    assert parse_win(text) == win
    assert parse_win(text.upper().replace(' ', '  ').replace(' AND ', ' AND ALSO '), zone=zone) == win


def test_the_text_of_each_term() -> None:
    assert term_text(Every(100, 100)) == 'every 100'
    assert term_text(Every(100, 50)) == 'every 100 from 50'
    assert term_text(At(100)) == 'at 100'
    assert term_text(First(5)) == 'first 5'
    assert term_text(FirstAfter(EVENING)) == 'first after 2026-12-05T19:00:00+00:00'
    assert term_text(FirstAfter(EVENING), 'Europe/Berlin') == 'first after 2026-12-05T20:00:00+01:00'
    assert term_text(Last()) == 'last'


WORDS = st.sampled_from(['every', 'at', 'first', 'after', 'last', 'from', 'and', 'also', ',', '9', '0', '20:00', 'x'])


@given(st.lists(WORDS, max_size=12).map(' '.join) | st.text(max_size=30))
def test_any_text_is_terms_or_one_sentence(text: str) -> None:
    try:
        terms = parse_win(text, day=NOON)
    except RulesRefused as error:
        refusal = str(error)
    else:
        refusal = ''
        assert parse_win(' and '.join(map(term_text, terms))) == terms
    assert refusal.isprintable()
