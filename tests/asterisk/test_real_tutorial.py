"""Real Asterisk, and somebody who follows a whole tutorial, from an empty folder, with what pip installs."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.asterisk.telephony import Asterisk
from tests.support.places import ASTERISK, TREE
from tests.support.walkthrough import File, Reader, clean, steps, wheels

DIALPLAN = '/etc/asterisk/extensions.conf'

#: Gives a command to the Asterisk of the tests, which says each time that its network has no hardware.
_ASTERISK = """#!/bin/sh
[ "$1" = -rx ] && {here}/cli {folder} "$2" 2>&1 | grep -v 'No ethernet interface'
"""


@pytest.fixture
def home(asterisk: Asterisk, tmp_path: Path) -> Path:
    """A home folder with a clone of this tree, and with the commands that somebody with an Asterisk has."""
    hidden = shutil.ignore_patterns('.*', '__pycache__', 'var', '*.egg-info', 'build')
    shutil.copytree(TREE, tmp_path / 'hitcounter', ignore=hidden)
    bin = tmp_path / 'bin'
    bin.mkdir()
    (bin / 'sudo').write_text('#!/bin/sh\nexec "$@"\n')
    (bin / 'asterisk').write_text(_ASTERISK.format(here=ASTERISK, folder=asterisk.folder))
    for command in bin.iterdir():
        command.chmod(0o755)
    return tmp_path


@pytest.fixture
def reader(asterisk: Asterisk, home: Path) -> Iterator[Reader]:
    environment = {**clean(os.environ), **wheels(), 'INSTANCE': asterisk.environment['INSTANCE']}
    environment['PATH'] = f'{home}/bin:{environment["PATH"]}'
    with closing(Reader(home, environment, tuple(asterisk.inside()))) as reader:
        yield reader


@pytest.mark.parametrize(
    ('page', 'logged'),
    [
        ('tutorial.md', r"Playing 'digits/5\."),  # one of 1001, four of 1003
        ('contest.md', '^ caller 2 of contest has won$'),
    ],
)
def test_a_tutorial_does_what_it_shows(asterisk: Asterisk, reader: Reader, page: str, logged: str) -> None:
    extensions = asterisk.extensions
    before = extensions.read_text('utf-8')
    start = len(asterisk.log)
    try:
        for step in steps((TREE / 'docs' / page).read_text('utf-8')):
            if isinstance(step, File) and step.name == DIALPLAN:
                extensions.write_text(f'{before}\n{step.text}', 'utf-8')
            else:
                reader.follow(step)
        asterisk.log.wait(logged, start)
    finally:
        asterisk.cli('channel request hangup all')  # or a call would go on in a dialplan that is gone
        extensions.write_text(before, 'utf-8')
        asterisk.cli('dialplan reload')
