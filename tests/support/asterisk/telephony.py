"""A running Asterisk, and those who call it; what they tell is what Asterisk itself logged."""

import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.asterisk.transcript import Transcript
from tests.support.patience import PATIENCE
from tests.support.places import ASTERISK

LOCAL = 'Local/{}@incoming'
'A call that never leaves Asterisk.'
SIP = 'PJSIP/{}@phone'
'A call by SIP and RTP, as from a telephone on the network.'

#: Listens at a port, and passes the socket on.
_LISTEN = """
import socket, sys
with socket.socket(fileno=int(sys.argv[1])) as out, socket.create_server(('127.0.0.1', int(sys.argv[2]))) as listener:
    socket.send_fds(out, [b'.'], [listener.fileno()])
"""

#: Returns when someone listens at a port.
_WAIT_FOR_SERVER = """
import socket, sys, time
while socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))):
    time.sleep(0.05)  # nothing else tells of it
"""


@dataclass(frozen=True)
class Call:
    """What became of one call."""

    played: tuple[str, ...]
    """The sound files, in order: ('hello', 'digits/1')."""
    status: str
    """AGISTATUS at the end."""
    number: str
    """HITCOUNTER_NUMBER at the end; empty if it was never set."""
    went_on: bool
    """Whether the dialplan went on after AGI."""


class Asterisk:
    """Asterisk in a network of its own, where the ports of SIP and FastAGI are always free.

    It is started at once, and dies with this process if nobody stops it.
    """

    def __init__(self, folder: Path, name: str = 'test', beside: 'Asterisk | None' = None) -> None:
        """`beside` is one in whose network it is to be, with other ports."""
        self.folder = folder
        ports = {} if beside is None else {'SIP_PORT': '5062', 'RTP_PORTS': '14000-17999'}
        self.environment = os.environ | ports | {'INSTANCE': f'{name}-{os.getpid()}'}
        self._run = folder / 'system' / 'run' / self.environment['INSTANCE']
        self._caller_ids = itertools.count(3001)  # above what strangers call themselves, so that no two are alike
        network = ['unshare', '--net'] if beside is None else beside.inside()
        self._process = subprocess.Popen(
            [
                'setpriv',
                '--pdeathsig',
                'KILL',
                *network,
                'unshare',
                '--mount',
                'sh',
                '-c',
                # The whole machine, for the processes that Asterisk starts; /mnt itself no test writes to or removes.
                'mount --rbind / "$2/system/mnt" && exec "$1" "$2"',
                'sh',
                ASTERISK / 'run',
                self.folder,
            ],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout
        self.log = Transcript('Asterisk', self._process.stdout)

    def wait_until_ready(self) -> None:
        """Return when it takes calls."""
        self.log.wait('^Asterisk Ready')

    def stop(self) -> None:
        """Return when it is gone, with its configuration."""
        self.end(signal.SIGTERM)
        shutil.rmtree(self._run)

    def end(self, number: signal.Signals) -> None:
        """Send a signal, and return when it is gone; what it stored is there until `stop`."""
        self._process.send_signal(number)  # which does nothing to one that is gone
        self._process.wait(PATIENCE)
        self.log.close()

    @property
    def database(self) -> Path:
        """The file of its own database, AstDB."""
        return self._run / 'db' / 'astdb.sqlite3'

    def inside(self, *command: str) -> list[str]:
        """The command line that runs `command` in Asterisk's network."""
        return ['nsenter', f'--net=/proc/{self._process.pid}/ns/net', '--', *command]

    def listen(self, port: int) -> socket.socket:
        """A socket that listens in Asterisk's network, for this process."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run(
                self.inside(sys.executable, '-c', _LISTEN, str(theirs.fileno()), str(port)),
                pass_fds=[theirs.fileno()],
                check=True,
                timeout=PATIENCE,
            )
            _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=listener)

    def wait_for_server(self, port: int) -> None:
        """Return when something listens at `port` of Asterisk's network."""
        subprocess.run(self.inside(sys.executable, '-c', _WAIT_FOR_SERVER, str(port)), check=True, timeout=PATIENCE)

    def install(self, name: str, *command: str, **variables: str) -> None:
        """Let AGI(name) run `command`, of the machine around Asterisk's, in the process that Asterisk starts."""
        script = self._run / 'agi' / name
        settings = [f'{variable}={value}' for variable, value in variables.items()]
        script.write_text(f'#!/bin/sh\nexec chroot /mnt env {shlex.join([*settings, *command])} "$@"\n')
        script.chmod(0o755)

    @property
    def extensions(self) -> Path:
        """Its dialplan, which it reads again at the command `dialplan reload`."""
        return self._run / 'extensions.conf'

    @contextmanager
    def with_dialplan(self, more: str) -> Iterator[int]:
        """Have `more` in its dialplan within the block; gives where its log was before it read that."""
        before, start = self.extensions.read_text('utf-8'), len(self.log)
        self.extensions.write_text(f'{before}\n{more}', 'utf-8')
        try:
            self.cli('dialplan reload')
            yield start
        finally:
            self.extensions.write_text(before, 'utf-8')
            self.cli('dialplan reload')

    def cli(self, command: str) -> str:
        """What Asterisk answers to a command at its console."""
        return subprocess.run(
            [ASTERISK / 'cli', self.folder, command],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        ).stdout

    def dial(self, line: str = '31415', *, by: str = LOCAL, name: str = 'Ada', then: str = 'stays') -> 'Caller':
        """Let someone call `line`; once answered, they do as the extension `then` in dialplan.conf says."""
        written = self._call_file(line, by, name, then)
        written.rename(self._run / 'spool' / 'outgoing' / written.name)
        return Caller(self, written.stem)

    def tell(self, line: str, calls: int = 1) -> list[str]:
        """Let so many call `line` at once; returns what it told each, by their order in the log."""
        start = len(self.log)
        for written in [self._call_file(line, LOCAL, 'Ada', 'stays') for _ in range(calls)]:
            written.rename(self._run / 'spool' / 'outgoing' / written.name)
        return [match[1] for match in self.log.wait_for(calls, r'^ \S+ was told (.*)$', start)]

    def _call_file(self, line: str, by: str, name: str, then: str) -> Path:
        caller_id = str(next(self._caller_ids))
        quoted = re.sub(r'(["\\;])', r'\\\1', name)
        written = self._run / 'spool' / 'tmp' / f'{caller_id}.call'
        written.write_text(
            f'Channel: {by.format(line)}\nCallerID: "{quoted}" <{caller_id}>\nWaitTime: 60\n'
            f'Context: caller\nExtension: {then}\n',
            encoding='utf-8',
            errors='surrogateescape',
        )
        return written

    def dial_as(self, user: str, line: str, name: str = '') -> 'Stranger':
        """Let a telephone call `line` by SIP that has any `user` in its From address, percent escapes included."""
        return Stranger(self, user, line, name)

    def call(self, line: str = '31415') -> Call:
        """Let someone call `line` and stay to the end."""
        return self.dial(line).ends()


class Caller:
    """Someone with a telephone. What its methods wait for is in Asterisk's log."""

    def __init__(self, asterisk: Asterisk, caller_id: str) -> None:
        self._asterisk = asterisk
        self._log = asterisk.log
        self._start = len(asterisk.log)
        self.caller_id = caller_id

    @property
    def channel(self) -> str:
        """The channel that is called, which runs AGI."""
        return self._log.wait(rf'^ call from {self.caller_id} is (\S+)$')[1]

    @property
    def _own_channel(self) -> str:
        """The channel of the one who calls, where the call is by LOCAL."""
        return self.channel.removesuffix('2') + '1'

    def hears(self, sound: str, start: int = 0) -> None:
        """Wait until `sound` begins, in line `start` of Asterisk's log or later."""
        self._log.wait(rf"<{re.escape(self.channel)}> Playing '{re.escape(sound)}\.", start)

    def reaches_agi(self) -> None:
        """Wait until Asterisk turns to the server."""
        self._log.wait(rf'Executing .* AGI\("{re.escape(self.channel)}"')

    def misses(self, sound: str) -> None:
        """Wait until Asterisk has found that there is no `sound`."""
        self._log.wait(rf'File {re.escape(sound)} does not exist', self._start)

    def press(self, keys: str) -> None:
        """Press the `keys`, from a second later on; return when it is done, or the call over. For a call by LOCAL."""
        start = len(self._log)
        extension = f'presses-{re.escape(keys)}'
        self._asterisk.cli(f'channel redirect {self._own_channel} caller,presses-{keys},1')
        self._log.wait(rf'{extension}@caller:3\]|Spawn extension \(caller, {extension}, 2\)', start)

    def hang_up(self) -> None:
        """Put the receiver down, on the caller's side; return when Asterisk has noticed."""
        start = len(self._log)
        self._asterisk.cli(f'channel request hangup {self._own_channel}')
        self._log.wait(rf'^ {re.escape(self._own_channel)} has hung up|Queued call to .* expired', start)

    def ends(self) -> Call:
        """Wait until the call is over."""
        return call_of(self._log, self.channel)


def call_of(log: Transcript, name: str) -> Call:
    """What became of the call on the channel `name`, once it is over."""
    channel = re.escape(name)
    end = log.wait(rf'^ {channel} ends: AGISTATUS=(\w*) HITCOUNTER_NUMBER=(.*)$')
    return Call(
        played=log.all(rf"<{channel}> Playing '([^'.]+)"),
        status=end[1],
        number=end[2],
        went_on=bool(log.all(rf'^( {channel} goes on)$')),
    )


class Stranger:
    """A telephone that is nobody's, and says of itself what it likes."""

    def __init__(self, asterisk: Asterisk, user: str, line: str, name: str) -> None:
        start = len(asterisk.log)
        self._log = asterisk.log
        self._answers: list[str] | None = None
        self._invite = subprocess.Popen(
            asterisk.inside(sys.executable, str(Path(__file__).with_name('invite.py')), line, user, name),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.channel = self._log.wait(r'is (PJSIP/anonymous-\S+)$', start)[1]

    def ends(self) -> Call:
        """Wait until the call is over."""
        self.answers()
        return call_of(self._log, self.channel)

    def answers(self) -> list[str]:
        """The SIP statuses that it was sent, in order, once the call is over."""
        if self._answers is None:
            said, _ = self._invite.communicate(timeout=PATIENCE)
            assert self._invite.returncode == 0
            self._answers = said.split()
        return self._answers


def spoken(number: int) -> tuple[str, ...]:
    """The sound files that say a number below 100 in English."""
    tens, ones = (0, number) if number <= 20 else (number // 10 * 10, number % 10)
    return tuple(f'digits/{part}' for part in (tens, ones) if part)
