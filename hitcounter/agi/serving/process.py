"""A call in its own process, which Asterisk starts for `AGI(/path)` and `EAGI(/path)`.

Standard input and output are the stream, SIGHUP is the hangup, and descriptor 3 is the audio of EAGI.
"""

import logging
import math
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

from ...errors import CallError, ConnectionLost, ProtocolError
from ..audio import Audio
from ..call import Call
from ..call_log import log_end
from ..protocol.command import LINE_LIMIT
from ..protocol.environment import INCOMPLETE, OF_PROCESS, Environment, EnvironmentBuffer
from ..script import Script, Scripts, run_script
from ..stream import FAILURE, StdioStream, Stream
from .acceptor import HANDSHAKE_TIMEOUT

logger = logging.getLogger(__name__)

_INPUT, _OUTPUT, _ERROR, _AUDIO = range(4)

_STAT = '/proc/self/stat'

#: The place of `starttime` among the fields of /proc/self/stat that follow the program's name (proc_pid_stat(5)).
_START_TIME = 19


@contextmanager
def standard_stream() -> Iterator[StdioStream]:
    """Reserve standard input and output for the call: anything printed meanwhile goes to standard error.

    If an error leaves the block, the dialplan sees AGISTATUS=FAILURE. From now on SIGHUP does not end the process;
    Asterisk sends it at each hangup, and again when the stream is closed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # before there are threads, so that none receives it
    with closing(StdioStream(os.dup(_INPUT), os.dup(_OUTPUT))) as stream:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _INPUT)
        os.close(nothing)
        os.dup2(_ERROR, _OUTPUT)
        with _failing(stream):
            yield stream


def run(
    scripts: Iterable[Script[..., object]],
    stream: StdioStream,
    arguments: Sequence[str] = (),
    *,
    call_timeout: float = math.inf,
    line_limit: int = LINE_LIMIT,
    keep_withheld: bool = False,
) -> bool:
    """Run the call on `stream` to its end, and close the stream; returns whether all went well, which a hangup is too.

    `arguments` are those of the process: the script's path, or nothing for the path '', then the script's arguments.
    The script finds them in the environment, as in the server. Only the main thread may call it.
    """
    started = time.monotonic()
    with closing(stream), _failing(stream):
        try:
            environment, rest = _opening(stream, started + HANDSHAKE_TIMEOUT)
            environment = _as_by_network(environment, arguments)
            script, parameters = Scripts(scripts).find(environment.script)
            call = Call(
                environment,
                stream,
                rest,
                parameters=parameters,
                deadline=started + call_timeout,
                line_limit=line_limit,
                keep_withheld=keep_withheld,
                arrived=_process_started(),
                audio=Audio(_AUDIO) if environment.get('agi_enhanced') == '1.0' else None,
            )
        except CallError as error:
            logger.error('the call was not accepted: %s', error)
            _fail(stream)
            return False
        with _hangup_by_signal(call):
            ending = run_script(call, script)
        if not ending.well:
            _fail(stream)
    log_end(call, script.path if script else None, ending, time.monotonic() - started)
    return ending.well


def _process_started() -> float:
    """When this process was started, in seconds since 1970, UTC, to 10 ms; now, where /proc does not say it."""
    now = time.time()
    try:
        with open(_STAT, 'rb') as file:
            after_name = file.read().rpartition(b')')[2].split()
        since_boot = int(after_name[_START_TIME]) / os.sysconf('SC_CLK_TCK')
    except (OSError, IndexError, ValueError):
        return now
    return now - max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


@contextmanager
def _failing(stream: StdioStream) -> Iterator[None]:
    """Let the dialplan see AGISTATUS=FAILURE if the block raises an error."""
    try:
        yield
    except BaseException:
        _fail(stream)
        raise


def _opening(stream: Stream, deadline: float) -> tuple[Environment, bytes]:
    """The environment, and the bytes after it. Raises ProtocolError for anything else."""
    opening = EnvironmentBuffer(OF_PROCESS)
    try:
        while not opening.feed(stream.receive(deadline)):
            pass
    except TimeoutError:
        raise ProtocolError(
            f'no environment came within {HANDSHAKE_TIMEOUT:g} s: let Asterisk start this program, by AGI(/path/to/it)'
        ) from None
    except ConnectionLost:
        raise ProtocolError(INCOMPLETE) from None
    return opening.take()


def _as_by_network(environment: Environment, arguments: Sequence[str]) -> Environment:
    """`environment` as a server would receive it: with the path as the network script, and the arguments.

    The arguments come from the process, so that a newline in one of them cannot add another.
    """
    texts = [os.fsencode(argument).decode('utf-8', 'surrogateescape') for argument in arguments]
    if texts:
        texts[-1] = texts[-1].rstrip('\n')  # a server cannot distinguish them from the end of the block
    values = {name: value for name, value in environment.items() if not name.startswith('agi_arg_')}
    values |= {f'agi_arg_{number}': text for number, text in enumerate(texts[1:], 1)}
    return Environment({'agi_network_script': ''.join(texts[:1]), **values})


@contextmanager
def _hangup_by_signal(call: Call) -> Iterator[None]:
    """Record SIGHUP, even an earlier one, as the hangup of `call`. Asterisk sends the line HANGUP only to servers."""
    before = signal.signal(signal.SIGHUP, lambda *_: call.note_hangup())
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        signal.signal(signal.SIGHUP, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _fail(stream: Stream) -> None:
    """Let the dialplan see AGISTATUS=FAILURE. The exit status alone would not, unless Asterisk notices it in time."""
    with suppress(ConnectionLost):  # there is nobody left to read it
        stream.send(FAILURE)
