"""Commands of other packages, and `hitcounter plugins`, which lists what is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.plugins import VOTES, Install

if TYPE_CHECKING:
    from tests.support.servers import Run, Start

#: A command beside the script and the component; what it opens is this test's database.
WITH_COMMAND = (
    VOTES
    + """
import sys
import click
from hitcounter.commands import options
from hitcounter.commands.base import Command
from hitcounter.errors import HitcounterError

@click.command(cls=Command)
@options.config
@options.storage
@click.argument('choice', default='none')
def show(storage: str, choice: str) -> None:
    '''Show the votes.'''
    if choice == 'wrong':
        raise HitcounterError('this choice is wrong')
    click.echo(f'{choice} of {storage}')
    sys.exit(7 if choice == 'seven' else 0)

@click.command()
def plain() -> None:
    raise HitcounterError('nothing is plain')
"""
)


def test_a_command_of_another_package_is_run_with_its_options_and_its_exit_status(
    hitcounter: Run, install: Install, storage: str, start: Start
) -> None:
    start().stop()
    env = install('votes', WITH_COMMAND, commands='votes = votes:show\nplain = votes:plain')
    done = hitcounter('votes', 'tea', env=env)
    assert (done.returncode, done.stdout) == (0, f'tea of {storage}\n')
    assert hitcounter('votes', 'seven', env=env).returncode == 7
    for arguments, said in (('votes', 'wrong'), 'this choice is wrong'), (('plain',), 'nothing is plain'):
        done = hitcounter(*arguments, env=env)
        assert (done.returncode, done.stdout, done.stderr) == (1, '', f'Error: {said}\n')
    assert hitcounter('votes', '--nosuch', env=env).returncode == 2


def test_a_command_of_another_package_is_listed_with_its_sentence(hitcounter: Run, install: Install) -> None:
    env = install('votes', WITH_COMMAND, commands='votes = votes:show')
    listed = hitcounter('--help', env=env).stdout.partition('Commands of other packages:\n')
    assert '  status ' in listed[0]
    assert listed[2].splitlines()[0] == '  votes  Show the votes.'


def test_a_command_that_cannot_be_imported_is_listed_and_stops_no_other(
    hitcounter: Run, install: Install, start: Start
) -> None:
    start().stop()
    env = install('votes', 'import nosuch', commands='votes = votes:show')
    said = 'the entry point votes = votes:show (hitcounter.commands, of votes) cannot be loaded (ModuleNotFoundError: '
    assert hitcounter('status', env=env).returncode == 0
    listed = hitcounter('--help', env=env)
    assert (listed.returncode, listed.stderr) == (0, '')
    assert said in ' '.join(listed.stdout.split())
    done = hitcounter('votes', env=env)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, '', 1)
    assert done.stderr.startswith(f'Error: {said}')
    assert hitcounter('nosuch', env=env).returncode == 2


def test_an_entry_point_file_that_cannot_be_read_stops_no_command_of_our_own(
    hitcounter: Run, install: Install, start: Start
) -> None:
    start().stop()
    env = install('votes', commands='votes')
    assert hitcounter('call', '--help', env=env).returncode == 0
    listed = hitcounter('--help', env=env)
    assert listed.returncode == 0
    assert 'the entry_points.txt of the package votes cannot be read' in ' '.join(listed.stdout.split())
    done = hitcounter('votes', env=env)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    refused = hitcounter('plugins', env=env)
    assert (refused.returncode, refused.stdout.count('not served: ')) == (1, 1)


def test_a_command_of_another_package_replaces_none_of_our_own_and_that_is_said(
    hitcounter: Run, install: Install, start: Start
) -> None:
    start().stop()
    env = install('votes', WITH_COMMAND, commands='status = votes:show')
    said = 'has the name of a hitcounter command, which runs instead: rename it'
    assert hitcounter('status', env=env).stdout.startswith('database ')
    assert said in ' '.join(hitcounter('--help', env=env).stdout.split())
    done = hitcounter('plugins', env=env)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        f'not served: the entry point status = votes:show (hitcounter.commands, of votes) {said}'
    )


def test_a_name_that_two_packages_give_to_a_command_is_refused(hitcounter: Run, install: Install) -> None:
    install('one', WITH_COMMAND, commands='votes = one:show')
    env = install('two', WITH_COMMAND, commands='votes = two:show')
    done = hitcounter('votes', env=env)
    assert done.returncode == 1
    assert 'has the name of a command of another package: uninstall one of them' in done.stderr


def test_what_is_not_a_command_is_said(hitcounter: Run, install: Install) -> None:
    env = install('votes', WITH_COMMAND, commands='votes = votes:Votes')
    done = hitcounter('votes', env=env)
    assert done.returncode == 1
    assert "is <class 'votes.Votes'>, not a command: mark the function with @click.command()" in done.stderr


def test_all_that_is_installed_is_listed_with_its_package_and_version(hitcounter: Run, install: Install) -> None:
    env = install(
        'votes',
        WITH_COMMAND,
        scripts='vote = votes:vote',
        components='votes = votes:Votes',
        commands='votes = votes:show',
    )
    done = hitcounter('plugins', env=env)
    assert (done.returncode, done.stderr) == (0, '')
    rows = [tuple(line.split()) for line in done.stdout.splitlines()]
    assert ('vote/{votes}', 'votes.vote', 'votes', '1.0') in rows
    assert ('votes', 'schema', '1', 'votes.Votes', 'votes', '1.0') in rows
    assert ('votes', 'votes.show', 'votes', '1.0') in rows
    for ours in ("''", 'hits'):
        assert (ours, 'hitcounter.lines.script.serve_line', 'hitcounter-agi') in [row[:3] for row in rows]
    assert ('hits', 'schema', '2', 'hitcounter.hits.HitCounter') in [row[:4] for row in rows]
    assert ('status', 'hitcounter.commands.status.main', 'hitcounter-agi') in [row[:3] for row in rows]

    found = json.loads(hitcounter('plugins', '--json', env=env).stdout)
    assert list(found) == ['scripts', 'components', 'commands', 'refusals']
    assert found['components'][2] == {
        'name': 'votes',
        'code': 'votes.Votes',
        'distribution': 'votes',
        'version': '1.0',
        'schema': 1,
    }
    assert found['refusals'] == []


def test_all_that_cannot_be_served_is_said_at_once(hitcounter: Run, install: Install) -> None:
    env = install('broken', '1 +', scripts='vote = broken:vote', components='votes = broken:Votes')
    env = install(
        'votes',
        VOTES.replace('vote/{votes}', 'hits').replace("name = 'votes'", "name = 'hits'"),
        scripts='vote = votes:vote',
        components='votes = votes:Votes',
    )
    done = hitcounter('plugins', '--json', env=env)
    assert (done.returncode, done.stderr) == (1, '')
    refusals = json.loads(done.stdout)['refusals']
    assert len(refusals) == 4
    assert [refusal.partition(', of ')[0] for refusal in refusals[:2]] == [
        'the entry point vote = broken:vote (hitcounter.scripts',
        'the entry point votes = broken:Votes (hitcounter.components',
    ]
    assert refusals[2].startswith("two scripts have the same path, 'hits' (")
    assert refusals[3].startswith("two components have the name 'hits': ")
