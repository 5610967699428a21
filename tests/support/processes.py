"""A process that takes one call, and the simulator that started it and drives it over its pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path

from hitcounter.simulator import Channel, SaidNumber, SimulatedCall
from tests.support.patience import PATIENCE
from tests.support.servers import Log

HITCOUNTER_AGI = 'from hitcounter.commands.agi import main; main()'

_HANGUP = b'HANGUP\n'

#: Runs a command with a descriptor as its descriptor 3.
_AS_3 = 'import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])'


class ProcessCall:
    """A call that Asterisk gave to a process: where a server reads HANGUP, this one gets SIGHUP.

    `arguments` are those of the dialplan. The caller says `audio`, if any, to a script under EAGI.
    """

    def __init__(
        self,
        channel: Channel,
        *arguments: str,
        environment: Mapping[str, str],
        folder: Path,
        code: str = HITCOUNTER_AGI,
        audio: bytes | None = None,
    ) -> None:
        self.asterisk = SimulatedCall(channel)
        command = [sys.executable, '-W', 'error', '-c', code, *arguments]
        source = -1
        if audio is not None:
            source, sink = os.pipe()
            os.write(sink, audio)
            os.close(sink)
            command = [sys.executable, '-c', _AS_3, str(source), *command]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            cwd=folder,
            pass_fds=() if source < 0 else (source,),
        )
        if source >= 0:
            os.close(source)
        opening = _as_of_a_process(self.asterisk.opening(), arguments, enhanced=source >= 0)
        self.status: int | None = None
        assert self.process.stderr
        self.log = Log(TextIOWrapper(self.process.stderr, 'utf-8'))
        self._send(opening)

    def commands(self) -> Iterator[bytes]:
        """Each line of the process, before Asterisk carries it out; at the end, the process has ended."""
        assert self.process.stdout
        for line in self.process.stdout:
            yield line.rstrip(b'\n')
            self._send(self.asterisk.receive(line))
        self.asterisk.close()
        self.process.send_signal(signal.SIGHUP)  # as Asterisk does at every end, too
        self.status = self.process.wait(PATIENCE)
        self.log.end()

    def run(self, at: Mapping[bytes, Callable[[], object]] | None = None) -> ProcessCall:
        """Run the call to its end, and do something at the first command that begins so."""
        todo = dict(at or {})
        for line in self.commands():
            for begin in [begin for begin in todo if line.startswith(begin)]:
                todo.pop(begin)()
        return self

    @property
    def number(self) -> int:
        (number,) = (heard.number for heard in self.asterisk.events if isinstance(heard, SaidNumber))
        return number

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.end()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def said(self) -> str:
        """What it said on standard error."""
        return str(self.log)

    def _send(self, data: bytes) -> None:
        assert self.process.stdin
        told = data.replace(_HANGUP, b'')
        try:
            self.process.stdin.write(told)
        except BrokenPipeError:
            return
        if told != data:
            self.process.send_signal(signal.SIGHUP)


def _as_of_a_process(opening: bytes, arguments: tuple[str, ...], *, enhanced: bool) -> bytes:
    """The environment that a server would get, as Asterisk gives it to a process."""
    block, end, rest = opening.partition(b'\n\n')
    lines = [line for line in block.split(b'\n') if not line.startswith((b'agi_network', b'agi_arg_'))]
    if enhanced:
        lines = [b'agi_enhanced: 1.0' if line == b'agi_enhanced: 0.0' else line for line in lines]
    lines += [f'agi_arg_{number}: {value}'.encode() for number, value in enumerate(arguments, 1)]
    return b'\n'.join(lines) + end + rest
