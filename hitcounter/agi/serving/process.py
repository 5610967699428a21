"""A call in a process of its own, as Asterisk starts it for `AGI(/path)` and `EAGI(/path)`.

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
from ..protocol.environment import OF_PROCESS, Environment, EnvironmentBuffer
from ..script import Script, Scripts, run_script
from ..stream import FAILURE, StdioStream, Stream
from .acceptor import HANDSHAKE_TIMEOUT

logger = logging.getLogger(__name__)

_INPUT, _OUTPUT, _ERROR, _AUDIO = range(4)


@contextmanager
def standard_stream() -> Iterator[StdioStream]:
    """Keep standard input and output for the call alone: who prints meanwhile, prints on standard error.

    An error that leaves the block is one that the dialplan sees, AGISTATUS=FAILURE. From now on SIGHUP ends the
    process no more; Asterisk sends it at each hangup, and once more when the stream is closed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # before there are threads, so that none takes it
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
    """Lead the call on `stream` to its end, and close that; tells whether all went well, a hangup included.

    `arguments` are the process's own: the script's path, or nothing for the path '', then the script's arguments.
    The script finds in the environment what it would find there in the server. For the main thread.
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
                audio=Audio(_AUDIO) if environment.get('agi_enhanced') == '1.0' else None,
            )
        except CallError as error:
            logger.error('the call was not taken: %s', error)
            _fail(stream)
            return False
        with _hangup_by_signal(call):
            ending = run_script(call, script)
        if not ending.well:
            _fail(stream)
    log_end(call, script.path if script else None, ending, time.monotonic() - started)
    return ending.well


@contextmanager
def _failing(stream: StdioStream) -> Iterator[None]:
    """Let the dialplan see AGISTATUS=FAILURE if the block raises an error."""
    try:
        yield
    except BaseException:
        _fail(stream)
        raise


def _opening(stream: Stream, deadline: float) -> tuple[Environment, bytes]:
    """The environment, and what came right after it."""
    opening = EnvironmentBuffer(OF_PROCESS)
    try:
        while not opening.feed(stream.receive(deadline)):
            pass
    except TimeoutError:
        raise ProtocolError(
            f'no environment came within {HANDSHAKE_TIMEOUT:g} s: this is for Asterisk to start, by AGI(/path/to/it)'
        ) from None
    return opening.take()


def _as_by_network(environment: Environment, arguments: Sequence[str]) -> Environment:
    """`environment` as a server would have received it: the path as the network script, followed by the arguments.

    The arguments are those of the process, so that a newline in one of them cannot add another.
    """
    texts = [os.fsencode(argument).decode('utf-8', 'surrogateescape') for argument in arguments]
    if texts:
        texts[-1] = texts[-1].rstrip('\n')  # a server cannot tell them from the end of the block
    values = {name: value for name, value in environment.items() if not name.startswith('agi_arg_')}
    values |= {f'agi_arg_{number}': text for number, text in enumerate(texts[1:], 1)}
    return Environment({'agi_network_script': ''.join(texts[:1]), **values})


@contextmanager
def _hangup_by_signal(call: Call) -> Iterator[None]:
    """Let `call` know of SIGHUP, also of one that came before. Asterisk sends the line HANGUP to servers only."""
    before = signal.signal(signal.SIGHUP, lambda *_: call.note_hangup())
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        signal.signal(signal.SIGHUP, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _fail(stream: Stream) -> None:
    """Let the dialplan see AGISTATUS=FAILURE. The exit status alone would do so only if Asterisk finds it in time."""
    with suppress(ConnectionLost):  # nobody is left to be told
        stream.send(FAILURE)
