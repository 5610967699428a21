"""A real runzeo with TLS, made as docs/zeo.md says."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.patience import PATIENCE
from tests.support.places import TREE

PAGE = TREE / 'docs' / 'zeo.md'
HOST = 'zeo.example.com'


def make_certificates(folder: Path) -> None:
    """server.pem, server.key, client.pem and client.key in `folder`, by the commands of the page."""
    commands = re.findall(r'^    \$ (openssl .*)$', PAGE.read_text('utf-8'), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True, timeout=PATIENCE)


def configuration(folder: Path, port: int) -> str:
    """The zeo.conf of the page, with `port`, and with `folder` in place of its folders."""
    found = re.search(r'^    <zeo>\n(?:    .*\n)+', PAGE.read_text('utf-8'), re.MULTILINE)
    assert found
    text = found[0].replace('/etc/zeo', str(folder)).replace('/var/lib/zeo', str(folder))
    assert '0.0.0.0:9991' in text
    return text.replace('0.0.0.0:9991', f'127.0.0.1:{port}')


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class RunningZEO:
    """A runzeo of its own process."""

    def __init__(self, folder: Path, text: str, port: int, inside: tuple[str, ...] = ()) -> None:
        self.port = port
        (folder / 'zeo.conf').write_text(text)
        self.process = subprocess.Popen(
            [*inside, sys.executable, '-c', 'from ZEO.runzeo import main; main()', '-C', str(folder / 'zeo.conf')],
            cwd=folder,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(TREE), *sys.path])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr
        for line in self.process.stderr:  # until it listens
            if b'listening on' in line:
                return
        raise AssertionError('runzeo did not start')

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it hang: it runs no further, and its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stderr
        self.process.stderr.close()


@contextmanager
def running_zeo(folder: Path, *, tls: bool = True, inside: tuple[str, ...] = ()) -> Iterator[RunningZEO]:
    """Run the server of the page in `folder`, which has its certificates; without `tls`, without its <ssl> section.

    The command `inside` runs it, if there is one.
    """
    port = free_port()
    text = configuration(folder, port)
    if not tls:
        text = re.sub(r'<ssl>.*</ssl>', '', text, flags=re.DOTALL)
    server = RunningZEO(folder, text, port, inside)
    try:
        yield server
    finally:
        server.end()
