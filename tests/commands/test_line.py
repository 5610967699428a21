"""hitcounter line, as a process of its own, while a server runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hitcounter.commands.main import main

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

TOML = """
[line.contest]
time-zone = "Europe/Berlin"
before-answer = ["closed"]

[line.contest.say]
counted = ["wxyz/thanks"]

[line."a b"]
"""


def result(server: object, line: str) -> str:
    """What became of a call of that line."""
    return server.call(extension=line).variables['HITCOUNTER_RESULT']  # type: ignore[attr-defined,no-any-return]


def test_a_file_declares_its_lines(hitcounter: Run, start: Start, tmp_path: Path) -> None:
    server = start()
    (tmp_path / 'lines.toml').write_text(TOML)
    done = hitcounter('line', 'declare', '--file', 'lines.toml')
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 lines declared: contest, 'a b'\n", '')
    assert hitcounter('line', 'show', 'contest').stdout == (
        'line             contest\n'
        'declared         yes\n'
        'before-answer    closed\n'
        'time-zone        Europe/Berlin\n'
        'say counted      ["wxyz/thanks"]\n'
        'sound files      never checked: call the script sounds/contest once, which lists the ones that are missing\n'
    )
    shown = json.loads(hitcounter('line', 'show', 'contest', '--json').stdout)
    assert shown == {
        'line': 'contest',
        'declared': True,
        'closed': False,
        'sounds': None,
        'settings': {
            'before-answer': ['closed'],
            'say': {'counted': ['wxyz/thanks']},
            'time-zone': 'Europe/Berlin',
        },
    }
    assert 'plays "wxyz/thanks"' in hitcounter('call', '--to', url(server, 'contest')).stdout


def url(server: object, line: str) -> str:
    host, port = server.address  # type: ignore[attr-defined]
    return f'agi://{host}:{port}/hits/{line}'


def test_options_change_what_they_name_and_nothing_else(hitcounter: Run, start: Start) -> None:
    start()
    first = ('--time-zone', 'Europe/Berlin', '--country', 'DE', '--language', 'de')
    assert hitcounter('line', 'declare', 'shop', *first).returncode == 0
    # Alone, these hours would lack the country that is stored.
    assert hitcounter('line', 'declare', 'shop', '--hours', 'Mo-Fr 08:00-18:00; PH off', '--language', '').stderr == ''
    settings = json.loads(hitcounter('line', 'show', 'shop', '--json').stdout)['settings']
    assert settings == {'hours': 'Mo-Fr 08:00-18:00; PH off', 'time-zone': 'Europe/Berlin', 'country': 'DE'}
    done = hitcounter('line', 'declare', 'shop', '--country', '')
    assert done.returncode == 2
    assert done.stderr.endswith("name public holidays (PH): name the country, too, such as 'DE'\n")


def test_a_server_that_runs_sees_each_change_at_the_next_call(hitcounter: Run, start: Start) -> None:
    server = start()
    assert result(server, 'contest') == 'COUNTED'
    for arguments, expected in [
        (('line', 'declare', 'contest'), 'COUNTED'),
        (('line', 'close', 'contest'), 'CLOSED'),
        (('line', 'open', 'contest'), 'COUNTED'),
        (('round', 'open', 'contest', '--settle', '0s', '--win', 'at 1'), 'WON'),
        (('line', 'close', 'contest'), 'CLOSED'),
        (('line', 'open', 'contest'), 'COUNTED'),
        (('round', 'close', 'contest'), 'CLOSED'),
        (('line', 'remove', 'contest'), 'COUNTED'),
    ]:
        done = hitcounter(*arguments)
        assert (done.returncode, done.stderr) == (0, ''), arguments
        assert result(server, 'contest') == expected, arguments
    assert hitcounter('lines').stdout == 'contest  6\n'


def test_a_line_with_a_round_that_is_not_final_is_not_removed(hitcounter: Run, start: Start) -> None:
    start()
    assert hitcounter('round', 'open', 'contest', '--settle', '1h').returncode == 0
    for arguments in [(), ('round', 'close', 'contest')]:
        assert not arguments or hitcounter(*arguments).returncode == 0
        done = hitcounter('line', 'remove', 'contest')
        assert (done.returncode, done.stderr) == (
            1,
            "Error: round 1 of line 'contest' is not final: close it, and remove the line once it is\n",
        )


def test_a_line_that_is_closed_says_how_to_open_it(hitcounter: Run, start: Start) -> None:
    start()
    assert hitcounter('line', 'declare', '--', '-x').stdout == '1 line declared: -x\n'
    assert hitcounter('line', 'close', '--', '-x').stdout == 'line -x is closed\n'
    assert 'closed           by hand: open it with "hitcounter line open -- -x"\n' in (
        hitcounter('line', 'show', '--', '-x').stdout
    )
    done = hitcounter('round', 'open', '--', '-x')
    assert done.stderr == (
        'Warning: the line is closed by hand, and takes no calls until "hitcounter line open -- -x"\n'
    )
    assert hitcounter('line', 'remove', '--', '-y').returncode == 1


@pytest.mark.parametrize('command', ['show', 'remove', 'close', 'open'])
def test_a_line_that_is_not_known(hitcounter: Run, counted: None, command: str) -> None:
    done = hitcounter('line', command, 'contest')
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        '',
        'Error: line \'contest\' is not declared and has had no round: see "hitcounter lines"\n',
    )


def refused(tmp_path: Path, *arguments: str) -> str:
    """What `hitcounter line declare` says about wrong arguments, for a database that is not there."""
    database = tmp_path / 'hits.fs'
    done = CliRunner().invoke(main, ['line', 'declare', '--storage', f'file://{database}', *arguments])
    assert done.exit_code == 2, done.output
    assert not database.exists()
    _, told = done.output.split('\n\nError: ')
    assert told.endswith('\n')
    return told[:-1]


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ([], 'name a line, or give --file with a table for each line'),
        (['a', '--file', 'x'], 'name a line, or give --file with a table for each line'),
        (
            ['--file', 'x', '--hours', '', '--time-zone', ''],
            'the settings are in the file: leave out --hours, --time-zone',
        ),
        ([''], 'the line is empty: dial or name one of at least one character'),
        (['a\n'], "line 'a\\n' contains the control character '\\n': dial or name one without it"),
        (['\udcff'], "line '\\udcff' is not UTF-8, because of '\\udcff': dial or name one that is"),
        (['x' * 81], f'line {"x" * 80!r}... has 81 bytes: dial or name one of at most 80'),
        (
            ['a', '--time-zone', 'Europe/Berln'],
            "line a: 'Europe/Berln' is not a time zone: the nearest names are Europe/Berlin, Europe/Dublin, "
            'Europe/Belfast',
        ),
        (
            ['a b', '--country', 'XX'],
            "line 'a b': country 'XX' is not the code of a country that has national numbers: write two capital "
            'letters, as in DE or GB',
        ),
        (
            ['a', '--hours', 'Mo-Fr 25:00'],
            "line a: the hours 'Mo-Fr 25:00' cannot be read from character 7, '25:00': write them as "
            "'Mo-Fr 08:00-18:00; PH off'",
        ),
        (
            ['a', '--language', 'd*'],
            'line a, language: \'d*\' is not a language of Asterisk: give the name of a folder of its sounds, as "en" '
            'or "es_MX"',
        ),
    ],
)
def test_wrong_arguments_are_refused_before_a_database_is_opened(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert refused(tmp_path, *arguments) == said


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (b'', 'has no line: write a table [line.NAME] for each'),
        (b'line = 1', 'has no line: write a table [line.NAME] for each'),
        (b'[line]', 'has no line: write a table [line.NAME] for each'),
        (b'[lines.a]', "has 'lines', which is not the table of a line: write [line.NAME]"),
        (b'x = 1\n[line.a]', "has 'x', which is not the table of a line: write [line.NAME]"),
        (
            b'[line]\nhours = "24/7"',
            "has hours = '24/7' in [line], where only tables of lines may be: write settings below [line.NAME]",
        ),
        (b'[line.a', "is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        (b'[line.a]\n[line.a]', "is not TOML: Cannot declare ('line', 'a') twice (at line 2, column 8)"),
        (b'# caf\xe9', 'is not UTF-8: it has the byte 0xe9 at 5; save it as UTF-8'),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / 'lines.toml'
    path.write_bytes(text)
    assert refused(tmp_path, '--file', str(path)) == f'{str(path)!r} {said}'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('[line.a]\n[line.b]\nhour = 1', "b has 'hour', which is not a setting of a line: did you mean 'hours'?"),
        ('[line.a]\n[line."b c"]\nhours = 1', "'b c' has hours = 1: write a text, in quotation marks"),
        ('[line.a.say]\ncount = []', "a.say: 'count' is not a set of announcements: did you mean 'counted'?"),
    ],
)
def test_a_setting_that_is_wrong_is_said_with_its_table_and_its_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / 'lines.toml'
    path.write_text(text)
    assert refused(tmp_path, '--file', str(path)) == f'{str(path)!r}, line.{said}'


def test_a_name_in_a_file_that_no_line_can_have(tmp_path: Path) -> None:
    path = tmp_path / 'lines.toml'
    path.write_text('[line.a]\n[line."\\u001b"]')
    assert refused(tmp_path, '--file', str(path)) == (
        f"{str(path)!r}: line '\\x1b' contains the control character '\\x1b': dial or name one without it"
    )


@pytest.mark.parametrize(('name', 'why'), [('none.toml', 'No such file or directory'), ('', 'Is a directory')])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    assert refused(tmp_path, '--file', str(path)) == f'{str(path)!r} cannot be read: {why}'


def test_a_file_with_one_wrong_line_declares_none(hitcounter: Run, counted: None, tmp_path: Path) -> None:
    (tmp_path / 'lines.toml').write_text('[line.a]\nlanguage = "de"\n[line.b]\ntime-zone = "Mars"\n')
    done = hitcounter('line', 'declare', '--file', 'lines.toml')
    assert done.returncode == 2
    assert hitcounter('lines').stdout == '31415  2\n'
