"""The shell's workspace, on a real database."""

from pathlib import Path

import pytest

from hitcounter.hits import HitCounter
from hitcounter.shell import workspace
from hitcounter.shell.workspace import Workspace
from hitcounter.state import State, open_database


@pytest.mark.parametrize('writes', [False, True])
def test_one_that_cannot_be_made_leaves_no_connection_open(
    writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(f'file://{tmp_path}/test.fs', share=True) as database:
        State(database, [HitCounter]).close()
        monkeypatch.setattr(workspace, 'Component', 'not a class')  # the root is looked through for these
        with pytest.raises(TypeError, match='isinstance'):
            Workspace(database, writes=writes)
        assert not [entry for entry in database.db.connectionDebugInfo() if entry['opened']]
