"""The files that docs/cluster/ offers for the machines of a cluster."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FILES = Path(__file__).parents[1] / 'docs' / 'cluster'


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which('systemd-analyze')
    if analyze is None:
        pytest.skip('systemd-analyze is not installed')
    unit = (FILES / 'hitcounter-serve.service').read_text()
    here = tmp_path / 'hitcounter-serve.service'
    here.write_text(unit.replace('/opt/hitcounter/bin/hitcounter-serve', '/bin/true'))
    done = subprocess.run([analyze, 'verify', str(here)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if here.name in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


def test_patroni_asks_the_members_that_etcd_names() -> None:
    patroni = re.search(r'hosts: (\S+)', (FILES / 'patroni.yml').read_text())
    members = re.search(r'ETCD_INITIAL_CLUSTER=(\S+)', (FILES / 'etcd').read_text())
    assert patroni
    assert members
    asked = [host.rpartition(':')[0] for host in patroni[1].split(',')]
    assert asked == re.findall(r'http://([\d.]+):2380', members[1])
    assert len(asked) == 3
