"""The contest of the documentation, followed up to the step with Asterisk; tests/asterisk follows all of it."""

import os
from contextlib import closing
from pathlib import Path

from tests.support.places import TREE
from tests.support.walkthrough import Command, File, Reader, clean, steps, wheels
from tests.test_tutorial import a_free_port, install_commands

PAGE = (TREE / 'docs' / 'contest.md').read_text('utf-8')

_INSTALL = 'pip install --quiet ~/hitcounter'
_WITH_ASTERISK = '\n## 6. '


def test_the_contest_goes_as_the_page_shows_up_to_the_step_with_asterisk(tmp_path: Path) -> None:
    own = {'HITCOUNTER_LISTEN': f'127.0.0.1:{a_free_port()}', 'PIP_NO_DEPS': '1'}
    page = PAGE.replace('127.0.0.1:4573', own['HITCOUNTER_LISTEN']).partition(_WITH_ASTERISK)[0]
    with closing(Reader(tmp_path, {**clean(os.environ), **wheels(), **own})) as reader:
        followed = list(steps(page))
        for step in followed:
            if step == Command(_INSTALL, ''):
                install_commands(tmp_path / 'contest' / 'venv')
            else:
                reader.follow(step)
    assert Command(_INSTALL, '') in followed
    assert [step.name for step in followed if isinstance(step, File)] == ['contest.toml']
