"""What a type checker infers: of `state[HitCounter].hit`, of `@script`, of the test kit; and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE
from tests.support.places import TREE

pytest.importorskip('mypy', reason='mypy is not installed')

FILES = sorted((TREE / 'tests' / 'typing').glob('*.py'))


def mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'mypy', '--no-error-summary', *arguments],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_each_type_is_inferred_and_each_wrong_use_refused_as_the_files_of_tests_typing_say() -> None:
    assert [path.name for path in FILES] == ['scripts.py', 'state.py']
    checked = mypy(*map(str, FILES))
    assert (checked.returncode, checked.stdout) == (0, '')


def test_a_wrong_expectation_in_such_a_file_is_found(tmp_path: Path) -> None:
    wrong = FILES[1].read_text().replace("move('white', far=2), int)", "move('white', far=2), str)")
    wrong = wrong.replace("state[HitCounter].hit('1')  #", "state[HitCounter].hit('1', BOB)  #")
    (tmp_path / 'wrong.py').write_text(wrong)
    checked = mypy(str(tmp_path / 'wrong.py'))
    assert checked.returncode == 1
    assert '[unused-ignore]' in checked.stdout
    assert '[assert-type]' in checked.stdout
