"""The server under test, as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.asterisk.telephony import Asterisk
from tests.support.asterisk.transcript import Transcript
from tests.support.patience import PATIENCE
from tests.support.places import TREE

PROCESS = '31419'
"""The extension whose calls are processes."""

HALF_A_MINUTE = 'demo-congrats'
"""A sound file of Asterisk that lasts so long."""

Serve = Callable[..., 'Server']
"""Starts a server with the options given."""


class Server:
    """A hit counter of its own process, listening where Asterisk looks for it. It dies with this process."""

    def __init__(self, asterisk: Asterisk, storage: Path | str, options: tuple[str, ...], port: int = 4573) -> None:
        """`storage` is the path of a file, or a URI."""
        self.storage = storage if isinstance(storage, str) else f'file://{storage}'
        self._address = f'127.0.0.1:{port}'
        self._command = asterisk.inside(
            'setpriv',
            '--pdeathsig',
            'KILL',
            sys.executable,
            '-c',
            'from hitcounter.commands.serve import main; main()',
            '--listen',
            self._address,
            '--storage',
            self.storage,
            *options,
        )

    def start(self) -> None:
        """Return when it listens."""
        self.process = subprocess.Popen(self._command, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout
        self.log = Transcript('the server', self.process.stdout)
        self.log.wait(f'listening on {self._address}')

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Return when it is gone, without having stopped."""
        self.send(signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Wait until it has ended, of its own will or by a signal, for its exit status."""
        status = self.process.wait(PATIENCE)
        self.log.close()
        return status


def use_processes(asterisk: Asterisk, storage: str, prompt: str) -> None:
    """Let Asterisk start hitcounter-agi for each call of PROCESS."""
    asterisk.install(
        'hitcounter-agi',
        *(sys.executable, '-c', 'from hitcounter.commands.agi import main; main()'),
        PYTHONPATH=str(TREE),
        HITCOUNTER_STORAGE=storage,
        HITCOUNTER_PROMPT=prompt,
    )
