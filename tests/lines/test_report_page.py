"""The page of a report is well-formed, complete in itself, and says in tables what its charts show."""

import re
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.lines.report import FINAL, KINDS, PROVISIONAL, Calls, Gap, Report, Round, Scope, Win, make
from hitcounter.lines.report_page import MOST, as_page

BERLIN = ZoneInfo('Europe/Berlin')
START = int(datetime.fromisoformat('2026-10-24T23:00+02:00').timestamp())
HOSTILE = '"><script src="http://x">\'&amp;</title></style></svg><img onerror=a> \x1b]0;\x07\u202e'


class Page(HTMLParser):
    """A page as it was parsed: what is in it, and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != 'meta':
            self.open.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self.open[-1] if self.open else '', data))
        if {'td', 'th'} & set(self.open):
            self.rows[-1][-1] += data


def report(
    line: str = 'contest', counts: tuple[int, ...] = (214, 650, 538, 1000, 1110, 117), **bounds: object
) -> Report:
    hours = {START + 3600 * place: count for place, count in enumerate(counts)}
    minutes = {'repeat': {START: 90, START + 3600: 2}, 'late': {START + 3600: 29}}
    rounds = (
        Round(
            1, 'final', FINAL, START + 1.0, START + 7200.0, f'Caller 9 wins on {line}.', '9f' * 32, {'counted': 14},
            (Win(9, 20_013, START + 333.0, 'at 9', line, False), Win(99, None, START + 400.0, 'at 99', None, True)),
            (Gap(START + 4000.0, START + 4100.0),),
        ),
        Round(2, 'open', PROVISIONAL, START + 8000.0, None, 'Nobody wins.', 'ab' * 32, {'counted': 0}),
    )  # fmt: skip
    return make(line, BERLIN, START + 9e4, Calls(hours, lambda *_: [], minutes), rounds, Scope(**bounds))  # type: ignore[arg-type]


def charts(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)]


@pytest.mark.parametrize('line', ['contest', HOSTILE])
def test_the_page_is_well_formed_and_needs_nothing_else(line: str) -> None:
    text = as_page(report(line))
    page = Page(text)
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    assert not {'script', 'link', 'img', 'iframe', 'object', 'a', 'base', 'use', 'image'} & set(tags)
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith('on') or name in ('src', 'href', 'xlink:href', 'srcset')}
    style = ''.join(words for tag, words in page.words if tag == 'style')
    assert not re.search(r'url\(|@import|//', style)
    assert (
        'meta',
        {'http-equiv': 'Content-Security-Policy', 'content': "default-src 'none'; style-src 'unsafe-inline'"},
    ) in page.tags
    if line == 'contest':
        assert 'http:' not in text
        assert 'https:' not in text


def test_a_hostile_name_is_shown_as_it_is_and_its_control_characters_as_escapes() -> None:
    text = as_page(report(HOSTILE))
    shown = HOSTILE.replace('\x1b', '\\x1b').replace('\x07', '\\x07').replace('\u202e', '\\u202e')
    titles = [words for tag, words in Page(text).words if tag in ('title', 'bdi')]
    assert f'Report on line {shown}' in titles
    assert shown in titles
    assert not set(text) & {'\x1b', '\x07', '\u202e'}


@given(st.text(max_size=80))
def test_no_name_breaks_the_page(line: str) -> None:
    text = as_page(report(line))
    page, plain = Page(text), Page(as_page(report()))
    assert [tag for tag, _ in page.tags if tag != 'span'] == [tag for tag, _ in plain.tags if tag != 'span']
    text.encode()


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=60))
def test_columns_are_in_proportion_to_their_counts_and_within_the_chart(counts: list[int]) -> None:
    made = report(counts=tuple(counts))
    counted = charts(as_page(made))[0]
    columns = {rect.findtext('title'): float(rect.attrib['height']) for rect in counted.iter('rect')}
    scale = [
        int((text.text or '').replace(',', ''))
        for text in counted.iter('text')
        if text.get('text-anchor') == 'end' and text.get('x') == '-8'
    ]
    assert scale[0] == 0
    assert scale[1] * 2 == scale[2] >= max(counts)
    assert len(columns) == sum(count > 0 for count in counts)
    for title, height in columns.items():
        count = int(re.findall(r': ([\d,]+) counted$', title or '')[0].replace(',', ''))
        assert height == pytest.approx(200 * count / scale[2], abs=0.02)
    places = [float(rect.attrib['x'].rstrip('%')) for rect in counted.iter('rect')]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


def test_each_chart_has_a_table_with_all_of_its_numbers() -> None:
    text = as_page(report())
    shown = charts(text)
    assert len(shown) == 2
    rows = Page(text).rows
    for chart in shown:
        assert chart.get('role') == 'img'
        assert (chart.get('aria-label') or '').endswith('The table below has all numbers.')
        for rect in chart.iter('rect'):
            label, _, number = (rect.findtext('title') or '').rpartition(': ')
            count, kind = number.split(' ', 1)
            heads = next(row for row in rows if row[0] == 'hour' and kind in row)
            table = rows[rows.index(heads) :]
            row = next(row for row in table if row[0] == label)
            assert row[heads.index(kind)] == count
    assert ['Sun 2026-10-25, 02:00-03:00 +02:00', '1,000'] in rows
    assert ['Sun 2026-10-25, 02:00-03:00 +01:00', '1,110'] in rows


def test_winners_have_a_table_that_says_that_it_is_final() -> None:
    page = Page(as_page(report()))
    shown = [words for tag, words in page.words if tag in ('h2', 'h3', 'span', 'caption')]
    assert 'Winners (final): 2' in shown
    assert 'Winners of round 1 (final)' in shown
    assert 'Winners (provisional): 0' in shown
    assert page.rows[-2][0] == '9'
    assert page.rows[-1] == ['99', '2026-10-24 23:06:40 +02:00', 'at 99', 'not on record', 'number withheld']


def test_a_line_that_nobody_called_has_a_page() -> None:
    text = as_page(make('quiet', BERLIN, START + 5.0, Calls({}, lambda *_: [])))
    assert Page(text).rows == []
    assert '<p>None.</p>' in text


@pytest.mark.parametrize('by', ['hour', 'day', 'month'])
def test_words_below_a_chart_are_not_upon_each_other_on_the_narrowest_page(by: str) -> None:
    made = report(counts=tuple(range(1, 365)), by=by)
    assert len(made.intervals) <= MOST
    for chart in charts(as_page(made)):
        few = [text for text in chart.iter('text') if text.get('class') == 'few']
        places = [float((text.get('x') or '').rstrip('%')) * 2.3 for text in few]
        assert few
        assert all(after - before > 40 for before, after in pairwise(places))


def test_headings_have_no_gaps_in_their_order() -> None:
    levels = [int(tag[1]) for tag, _ in Page(as_page(report())).tags if re.fullmatch(r'h\d', tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def luminance(color: str) -> float:
    digits = color if len(color) == 6 else ''.join(digit * 2 for digit in color)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_texts_and_columns_can_be_told_from_the_paper_in_light_dark_and_print() -> None:
    style = as_page(report()).partition('<style>')[2].partition('</style>')[0]
    schemes = [dict(re.findall(r'--([a-z]+): #([0-9a-f]+);', scheme)) for scheme in style.split('color-scheme:')[1:]]
    dark = dict(re.findall(r'--([a-z]+): #([0-9a-f]+);', style.partition('dark) {')[2].partition('}')[0]))
    light = dict(re.findall(r'--([a-z]+): #([0-9a-f]+);', style.partition(':root {')[2].partition('}')[0]))
    printed = schemes[-1]
    for scheme in (light, dark, printed):
        assert set(KINDS) < set(scheme)
        for name in ('ink', 'faint', *KINDS):
            assert contrast(scheme[name], scheme['paper']) >= 4.5, name
