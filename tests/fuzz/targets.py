"""What must hold whatever Asterisk sends: each target takes bytes, and raises what is none of our own errors.

No target waits: the other side answers each command at once, then it closes. Each begins with a whole environment, or
would stop at the door.
"""

from __future__ import annotations

import math
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial

import pytest

from hitcounter.agi import Call, Environment, Reply, Script
from hitcounter.agi.protocol.command import RUN_DEAD
from hitcounter.agi.protocol.reply import REPLY_LIMIT
from hitcounter.agi.script import Scripts
from hitcounter.agi.serving.connection import Connection
from hitcounter.agi.serving.process import run
from hitcounter.agi.stream import FAILURE, SocketStream, StdioStream, ready
from hitcounter.errors import CallError, CommandFailed, ConnectionLost, Hangup
from hitcounter.simulator import Channel
from tests.support.places import TRANSCRIPTS
from tests.support.recordings import recordings_in

END = b'\0'
"""What Asterisk, written in C, cannot send within a reply: it parts the pieces of an input."""

ENVIRONMENT = Channel(url='agi://127.0.0.1', unique_id='1.1').environment_block()

COMMANDS: dict[str, Callable[[Call], object]] = {
    'ANSWER': Call.answer,
    'HANGUP': Call.hangup,
    'CHANNEL STATUS': Call.channel_status,
    'NOOP': Call.noop,
    'VERBOSE': partial(Call.verbose, message='hello'),
    'ASYNCAGI BREAK': Call.asyncagi_break,
    'SET AUTOHANGUP': partial(Call.set_autohangup, time=1),
    'SET CALLERID': partial(Call.set_callerid, number='100', name='Ada'),
    'SET MUSIC': Call.set_music,
    'TDD MODE': partial(Call.tdd_mode, mode='on'),
    'SEND TEXT': partial(Call.send_text, text='hello'),
    'SEND IMAGE': partial(Call.send_image, name='hello'),
    'RECEIVE CHAR': Call.receive_char,
    'RECEIVE TEXT': Call.receive_text,
    'SET VARIABLE': partial(Call.set_variable, name='a', value='b'),
    'GET VARIABLE': partial(Call.get_variable, name='a'),
    'GET FULL VARIABLE': partial(Call.get_full_variable, name='a'),
    'DATABASE GET': partial(Call.database_get, family='a', key='b'),
    'DATABASE PUT': partial(Call.database_put, family='a', key='b', value='c'),
    'DATABASE DEL': partial(Call.database_del, family='a', key='b'),
    'DATABASE DELTREE': partial(Call.database_deltree, family='a'),
    'EXEC': lambda call: call.exec('Wait', 1),
    'GOSUB': lambda call: call.gosub('a', 'b', 1),
    'SET CONTEXT': partial(Call.set_context, context='a'),
    'SET EXTENSION': partial(Call.set_extension, extension='a'),
    'SET PRIORITY': partial(Call.set_priority, priority=1),
    'STREAM FILE': partial(Call.stream_file, name='hello'),
    'CONTROL STREAM FILE': partial(Call.control_stream_file, name='hello'),
    'WAIT FOR DIGIT': Call.wait_for_digit,
    'GET OPTION': partial(Call.get_option, name='hello', escape_digits='1'),
    'GET DATA': partial(Call.get_data, name='hello'),
    'RECORD FILE': partial(Call.record_file, name='hello', sound_format='wav', timeout=1),
    'SAY NUMBER': partial(Call.say_number, number=1),
    'SAY DIGITS': partial(Call.say_digits, digits=1),
    'SAY ALPHA': partial(Call.say_alpha, text='a'),
    'SAY PHONETIC': partial(Call.say_phonetic, text='a'),
    'SAY DATE': partial(Call.say_date, moment=0),
    'SAY TIME': partial(Call.say_time, moment=0),
    'SAY DATETIME': partial(Call.say_datetime, moment=0),
    'SPEECH CREATE': Call.speech_create,
    'SPEECH SET': partial(Call.speech_set, name='a', value='b'),
    'SPEECH DESTROY': Call.speech_destroy,
    'SPEECH LOAD GRAMMAR': partial(Call.speech_load_grammar, name='a', path='b'),
    'SPEECH UNLOAD GRAMMAR': partial(Call.speech_unload_grammar, name='a'),
    'SPEECH ACTIVATE GRAMMAR': partial(Call.speech_activate_grammar, name='a'),
    'SPEECH DEACTIVATE GRAMMAR': partial(Call.speech_deactivate_grammar, name='a'),
    'SPEECH RECOGNIZE': partial(Call.speech_recognize, prompt='hello'),
}
"""Each command of Asterisk 22 by its method."""


class Observed(Call):
    """A call that remembers which reply it took for which command."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.taken: list[Reply] = []

    def _exchange(self, name: str, arguments: tuple[str, ...], timeout: float | None) -> Reply:  # type: ignore[override]  # as it is called
        reply = super()._exchange(name, arguments, timeout)
        self.taken.append(reply)
        return reply


class Pieces:
    """A stream in memory, on which these pieces arrive, one for each read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = deque(pieces)
        self.lines = 0

    def send(self, data: bytes) -> None:
        assert data.count(b'\n') == 1
        assert data.endswith(b'\n')
        self.lines += 1

    def receive(self, deadline: float) -> bytes:
        if not self.pieces:
            raise ConnectionLost('no more pieces')
        return self.pieces.popleft()

    def pending(self) -> bytes:
        return b''

    def wait(self, seconds: float) -> bool:
        return False


# Whatever a value of the environment holds.


def values(data: bytes) -> None:
    """A block of Asterisk's with any values, newlines included: none is cut, nor taken for another or for a reply."""
    choices = Choices(data)
    path, *texts = (_text(choices.text()) for _ in range(1 + len(TEXTS)))
    *arguments, last = (_text(text) for text in choices.rest().split(END))
    channel = Channel(
        url=f'agi://pbx/{path}', unique_id='1.1', arguments=[*arguments, last], **dict(zip(TEXTS, texts, strict=True))
    )
    honest = '\n' not in ''.join([path, *texts, *arguments])
    try:
        environment, rest = Environment.opening(channel.environment_block())
        Call(environment, Pieces([]), rest)
    except CallError:
        assert not honest or '\n' in last
        return
    assert honest
    assert environment.script == path
    assert [environment[name] for name in TEXTS.values()] == [
        text or ('unknown' if name in UNKNOWN else '') for name, text in zip(TEXTS, texts, strict=True)
    ]
    assert environment.arguments[: len(arguments)] == (*arguments,)
    assert environment.arguments[len(arguments) :] == (last,) or '\n' in last  # the last lines may be anybody's


TEXTS = {
    'name': 'agi_channel',
    'language': 'agi_language',
    'caller_id': 'agi_callerid',
    'caller_name': 'agi_calleridname',
    'dnid': 'agi_dnid',
    'rdnis': 'agi_rdnis',
    'context': 'agi_context',
    'extension': 'agi_extension',
    'account_code': 'agi_accountcode',
}
"""What a caller or a dialplan may have written, by its name in a channel."""

UNKNOWN = ('caller_id', 'caller_name', 'dnid', 'rdnis')


# Whatever comes on a connection.


def connection(data: bytes) -> None:
    """All that a peer may say from its first byte on, to a script that asks and says."""
    opening, *answers = data.split(END)
    _run(opening, answers)


def answers(data: bytes) -> None:
    """An environment that is right, with a path, an argument and a caller's name; then whatever comes."""
    choices = Choices(data)
    path, argument, name = (_text(choices.text().replace(b'\n', b'')) for _ in range(3))
    channel = Channel(url=f'agi://pbx/{path}', unique_id='1.1', caller_name=name, arguments=[argument])
    _run(channel.environment_block() + choices.text(), choices.rest().split(END))


class Answers:
    """The other side, which sends one more piece whenever one is awaited and none is there, and then closes."""

    def __init__(self, pieces: Iterable[bytes], send: Callable[[bytes], object], close: Callable[[], object]) -> None:
        self._pieces = filter(None, pieces)
        self._send, self._close = send, close

    def await_at(self, file: int) -> None:
        if ready(file, select.POLLIN, 0):
            return
        if piece := next(self._pieces, b''):
            self._send(piece)
        else:
            self._close()


class AnsweredSocket(SocketStream):
    def __init__(self, connection: socket.socket, answers: Answers) -> None:
        super().__init__(connection)
        self._answers = answers

    def receive(self, deadline: float) -> bytes:
        self._answers.await_at(self._connection.fileno())
        return super().receive(deadline)


class AnsweredPipes(StdioStream):
    def __init__(self, incoming: int, outgoing: int, answers: Answers) -> None:
        super().__init__(incoming, outgoing)
        self._answers = answers

    def receive(self, deadline: float) -> bytes:
        self._answers.await_at(self._incoming)
        return super().receive(deadline)


def process(data: bytes) -> None:
    """All that Asterisk may say to a process that it has started, over two pipes."""
    pieces = data[: select.PIPE_BUF * 16].split(END)  # as much as a pipe holds
    incoming, to_it = os.pipe()
    from_it, outgoing = os.pipe()
    commands = bytearray()
    raised: list[BaseException] = []

    def script(call: Call) -> None:
        try:
            _ask_and_say(call)
        except CallError:
            raise
        except BaseException as error:  # which goes to the log
            raised.append(error)
            raise

    try:
        with ExitStack() as asterisk:
            asterisk.callback(os.close, to_it)
            answers = Answers(pieces, partial(os.write, to_it), asterisk.close)
            with closing(AnsweredPipes(incoming, outgoing, answers)) as stream:
                well = run([Script('', script)], stream, ['', 'an argument'])
        while piece := os.read(from_it, 4096):
            commands += piece
    finally:
        os.close(from_it)
    if raised:
        raise raised[0]
    assert not commands or commands.endswith(b'\n')
    assert well == (not commands.endswith(FAILURE))


def _run(opening: bytes, pieces: Iterable[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, suppress(CallError, EOFError):
        connection = Connection(ours, '127.0.0.1', math.inf)
        theirs.sendall(opening)
        if not connection.read_environment():
            theirs.shutdown(socket.SHUT_WR)
            while not connection.read_environment():
                pass
        answers = Answers(pieces, theirs.sendall, partial(theirs.shutdown, socket.SHUT_WR))
        _serve(connection, answers)


def _serve(connection: Connection, answers: Answers) -> None:
    environment, rest = connection.environment()
    script, parameters = SCRIPTS.find(environment.script)
    call = Call(environment, AnsweredSocket(connection.socket, answers), rest, parameters=parameters)
    assert all(call.parameters.values())
    repr((environment.caller_id, environment.caller_name, environment.arguments, call.url_query)).encode()
    if script:
        script(call)


def _ask_and_say(call: Call) -> None:
    call.answer()
    call.say_number(len(call.get_variable('EXTEN') or ''))


SCRIPTS = Scripts([Script('', _ask_and_say), Script('hits', _ask_and_say), Script('vote/{line}', _ask_and_say)])


# Whatever comes for a reply.


def replies(data: bytes) -> None:
    """A row of commands, and whatever comes for each, a piece at a time."""
    choices = Choices(data)
    stream = Chosen(choices)
    call = Observed(Environment.parse(ENVIRONMENT), stream)
    while choices:
        command = METHODS[choices.number(len(METHODS))]
        try:
            command(call)
        except Hangup:
            assert call.hung_up
        except CommandFailed:
            pass
        except CallError:  # the connection is of no more use
            break
        if len(call.taken) < stream.lines:
            assert call.hung_up  # in place of the reply
            break
    lines = stream.lines
    assert lines - len(call.taken) <= 1
    if lines > len(call.taken):  # whose reply might still come
        with pytest.raises(ConnectionLost):
            call.noop()
        assert stream.lines == lines


METHODS = list(COMMANDS.values())


class Chosen:
    """A stream on which each read gives what is chosen for it."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self.lines = 0

    def send(self, data: bytes) -> None:
        self.lines += 1

    def receive(self, deadline: float) -> bytes:
        while self._choices:
            if piece := self._choices.text():
                return piece
        raise ConnectionLost('no more pieces')

    def pending(self) -> bytes:
        return b''

    def wait(self, seconds: float) -> bool:
        return False


# Replies that are right, and hangups: no step is lost.


def in_step(data: bytes) -> None:
    """Well-formed replies, each for one command, cut anywhere and with hangups anywhere: each finds its command."""
    choices = Choices(data)
    stream = Pieces([])
    call = Observed(Environment.parse(ENVIRONMENT), stream)
    expected: list[Reply] = []
    heard, told = False, False
    while choices:
        name = NAMES[choices.number(len(NAMES))]
        sent, reply = _well_formed(choices)
        before, behind = HANGUPS[choices.number(len(HANGUPS))]
        lines = stream.lines
        if told and name not in RUN_DEAD:
            with pytest.raises(Hangup):
                call.command(name)
            assert stream.lines == lines  # without asking
            continue
        stream.pieces += _cut(before + sent + behind, len(before), choices)
        heard = heard or b'HANGUP' in before or reply.status == 511
        try:
            assert call.command(name) == reply
            raised = False
        except CommandFailed as error:
            assert f'answered {reply.status} ' in str(error)  # noqa: PT017 -- whether it is raised depends
            assert reply.status not in (200, 511)
            raised = False
        except Hangup:
            raised = True
        expected.append(reply)
        assert stream.lines == lines + 1
        assert call.taken == expected
        if told:
            assert raised == (reply.status == 511)
        else:
            assert raised or not heard  # and it may have heard what came behind the reply
            assert not raised or heard or b'HANGUP' in behind
            told = raised
        heard = heard or b'HANGUP' in behind


class Choices:
    """An input as a row of choices, and of texts that end with a NUL."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def number(self, below: int) -> int:
        first, self._data = self._data[:1], self._data[1:]
        return int.from_bytes(first, 'big') % below

    def rest(self) -> bytes:
        rest, self._data = self._data, b''
        return rest

    def text(self) -> bytes:
        text, _, self._data = self._data.partition(END)
        return text[: REPLY_LIMIT // 2]


NAMES = ['STREAM FILE', *sorted(RUN_DEAD)]

HANGUPS = [
    (b'', b''),
    (b'HANGUP\n', b''),
    (b'', b'HANGUP\n'),
    (b'HANGUP\nHANGUP\n', b'HANGUP\n'),
    (b'\n', b'\n'),
    (b'', b'\nHANGUP\n'),
]
HANGUPS = [HANGUPS[0]] * 8 + HANGUPS  # mostly none


def _well_formed(choices: Choices) -> tuple[bytes, Reply]:
    return FORMS[choices.number(len(FORMS))](choices.text())


def _plain(text: bytes) -> tuple[bytes, Reply]:
    word = b''.join(text.split())
    return b'200 result=%b\n' % word, Reply(200, _text(word))


def _value(text: bytes) -> tuple[bytes, Reply]:
    return b'200 result=1 (%b)\n' % text, Reply(200, '1', _text(text))


def _value_and_end(text: bytes) -> tuple[bytes, Reply]:
    return b'200 result=-1 (%b) endpos=%d\n' % (text, len(text)), Reply(200, '-1', _text(text), len(text))


def _end(text: bytes) -> tuple[bytes, Reply]:
    return b'200 result=0 endpos=%d\n' % len(text), Reply(200, '0', endpos=len(text))


def _announced(text: bytes) -> tuple[bytes, Reply]:
    said = b'Gosub ' + b''.join(text.split(b'(')).translate(None, b'\r\n')
    return b'100 result=0 Trying...\n200 result=0 %b\n' % said, Reply(200, '0', text=_text(said))


def _usage(text: bytes) -> tuple[bytes, Reply]:
    usage = b'Usage: ' + text.replace(b'520', b'') + b'.'
    return (
        b'520-Invalid command syntax.  Proper usage follows:\n%b\n520 End of proper usage.\n' % usage,
        Reply(520, text=_text(usage)),
    )


def _refused(status: int, said: str, text: bytes) -> tuple[bytes, Reply]:
    return f'{status} {said}\n'.encode(), Reply(status, text=said)


def _text(data: bytes) -> str:
    return data.decode('utf-8', 'surrogateescape')


FORMS: list[Callable[[bytes], tuple[bytes, Reply]]] = [
    _plain,
    _value,
    _value_and_end,
    _end,
    _announced,
    _usage,
    partial(_refused, 510, 'Invalid or unknown command'),
    partial(_refused, 511, 'Command Not Permitted on a dead channel or intercept routine'),
    partial(_refused, 520, 'Invalid command syntax.  Proper usage not available.'),
]


def _cut(whole: bytes, start: int, choices: Choices) -> list[bytes]:
    """`whole` in one piece or several, none of which ends with a line of the reply but the last.

    Asterisk writes each reply in one go, and what a value holds may look like the end of one.
    """
    size = choices.number(64)
    if not size:
        return [whole]
    cuts = [at for at in range(size, len(whole), size) if at <= start or whole[at - 1 : at] not in b'\r\n']
    return [whole[at:end] for at, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (values, connection, answers, process, replies, in_step)
}


# Where to begin.


def seeds() -> dict[str, set[bytes]]:
    """Inputs for each target, made of what a real Asterisk once sent."""
    found: dict[str, set[bytes]] = {name: set() for name in TARGETS}
    for path in sorted(TRANSCRIPTS.rglob('*.txt')):
        for recording in recordings_in(path):
            environment, *exchanges = recording.exchanges
            sent = [exchange.replies + exchange.unasked.lstrip(b'\n') for exchange in exchanges]
            said = Environment.parse(environment.replies)
            found['values'].add(END.join(text.encode('utf-8', 'surrogateescape') for text in _texts_of(said)))
            found['values'].update(END.join([*forged, b'1']) for forged in _forged(said))
            found['connection'].add(END.join([environment.replies, *sent]))
            found['process'].add(END.join([_as_of_a_process(environment.replies), *sent]))
            found['answers'].update(END.join([path, b'1', b'Ada', b'', *sent]) for path in PATHS)
            numbers = [_command_of(exchange.sent[0]) for exchange in exchanges]
            found['replies'].add(b''.join(bytes([at]) + reply + END for at, reply in zip(numbers, sent, strict=True)))
            found['in_step'].add(b''.join(map(_as_choices, sent)))
    return found


def _forged(environment: Environment) -> Iterator[list[bytes]]:
    """The values of `environment`, one of which goes on with a line of its own."""
    texts = [text.encode('utf-8', 'surrogateescape') for text in _texts_of(environment)]
    for at, line in enumerate(FORGED):
        yield [text + line * (at % len(texts) == place) for place, text in enumerate(texts)]


def _texts_of(environment: Environment) -> list[str]:
    return [environment.script, *(environment[name] for name in TEXTS.values()), *environment.arguments]


FORGED = 3 * [
    *(b'\n', b'\nx', b'\nagi_later: x', b'\nagi_arg_1: x', b'\nagi_extension: 1', b'\n\n200 result=1', b'\n\nHANGUP'),
]


def _as_of_a_process(block: bytes) -> bytes:
    """The block of a server without what only a server is sent."""
    return block[block.index(b'agi_request: ') :]


PATHS = [b'hits', b'vote/31415', b'vote/a%2Fb?for=x&for=%79+&now']


def _command_of(line: bytes) -> int:
    """Which of METHODS sends such a line; the first one if none does."""
    words = line.decode('utf-8', 'replace').upper().split()
    return next((at for at, name in enumerate(COMMANDS) if name.split() == words[: len(name.split())]), 0)


def _as_choices(reply: bytes) -> bytes:
    value = reply.partition(b'(')[2].rpartition(b')')[0]
    return bytes([1, int(bool(value))]) + value + END + bytes([0, 0])
