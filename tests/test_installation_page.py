"""The service that docs/installation.md shows is one that systemd takes, and its options are those of the server."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hitcounter.commands.serve import main as serve
from tests.support.places import TREE

(UNIT,) = re.findall(r'^```ini\n(\[Unit\].*?)^```$', (TREE / 'docs/installation.md').read_text('utf-8'), re.M | re.S)


def test_the_options_of_the_service_are_understood() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser documents it
    unit.read_string(UNIT)

    program, *options = shlex.split(unit['Service']['ExecStart'])
    context = serve.make_context(Path(program).name, options)

    assert Path(program).name == 'hitcounter-serve'
    assert unit['Service']['StateDirectory'] in context.params['storage']
    assert float(unit['Service']['TimeoutStopSec']) > context.params['drain']


@pytest.mark.skipif(shutil.which('systemd-analyze') is None, reason='there is no systemd here')
def test_systemd_takes_the_service(tmp_path: Path) -> None:
    service = tmp_path / 'hitcounter.service'
    service.write_text(UNIT.replace('/opt/hitcounter/bin/hitcounter-serve', '/bin/true'))

    said = subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', service], capture_output=True, text=True, timeout=60, check=False
    )

    assert str(service.name) not in said.stderr, said.stderr
    assert said.returncode == 0, said.stderr
