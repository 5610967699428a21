"""A network of two machines, the cable between which can be cut: nobody is told, as when a switch loses its power."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import suppress

import pytest

_TABLE = """
table inet cut {
    chain input { type filter hook input priority 0; policy drop; iif lo accept; }
    chain output { type filter hook output priority 0; policy drop; oif lo accept; }
}
"""


class Network:
    """This machine, which the other reaches as `here`, and a network namespace, which this one reaches as `there`."""

    def __init__(self) -> None:
        self.name = f'hitcounter-{os.getpid()}'
        self._cable = f'hc{os.getpid()}'  # at most 15 characters
        subnet = f'10.{random.randrange(64, 128)}.{random.randrange(256)}'
        self.here, self.there, self.both = f'{subnet}.1', f'{subnet}.2', f'{subnet}.0/30'
        _run('ip', 'netns', 'add', self.name)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        _run('ip', 'link', 'add', self._cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', self.name)
        _run('ip', 'address', 'add', f'{self.here}/30', 'dev', self._cable)
        _run('ip', 'link', 'set', self._cable, 'up')
        _run(*self.inside, 'ip', 'address', 'add', f'{self.there}/30', 'dev', 'eth0')
        _run(*self.inside, 'ip', 'link', 'set', 'eth0', 'up')
        _run(*self.inside, 'ip', 'link', 'set', 'lo', 'up')

    @property
    def inside(self) -> tuple[str, ...]:
        """The command that runs another there."""
        return ('ip', 'netns', 'exec', self.name)

    def cut(self, port: int | None = None) -> None:
        """Drop every packet between the two, or only those from and to this port of TCP."""
        rules = _TABLE
        if port is not None:
            rules = rules.replace('policy drop; iif lo accept;', f'tcp sport {port} drop;')
            rules = rules.replace('policy drop; oif lo accept;', f'tcp dport {port} drop;')
        _run(*self.inside, 'nft', '-f', '-', input=rules)

    def heal(self) -> None:
        _run(*self.inside, 'nft', 'delete', 'table', 'inet', 'cut')

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):  # it goes with its other end, and perhaps a little later
            _run('ip', 'link', 'delete', self._cable)
        _run('ip', 'netns', 'delete', self.name)


def _run(*command: str, input: str = '') -> None:
    subprocess.run(command, check=True, input=input, text=True, capture_output=True)


def skip_without_network() -> None:
    """Skip the test where no network of its own can be made."""
    if os.geteuid() != 0:
        pytest.skip('a network of its own needs root')
    for command, package in {'ip': 'iproute2', 'nft': 'nftables'}.items():
        if not shutil.which(command):
            pytest.skip(f'needs {command}: apt-get install {package}')
    if subprocess.run(['unshare', '--net', 'true'], capture_output=True, check=False).returncode:
        pytest.skip('this system lets nobody make a network of its own')
