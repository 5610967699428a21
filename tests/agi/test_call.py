"""A call: commands out, replies in, and the caller's hangup."""

import re
import time

import pytest

from hitcounter.agi.call import Call
from hitcounter.agi.protocol.command import RUN_DEAD
from hitcounter.agi.protocol.environment import Environment
from hitcounter.agi.protocol.reply import Reply
from hitcounter.agi.protocol.results import Playback
from hitcounter.errors import CommandFailed, CommandRefused, ConnectionLost, Hangup, ProtocolError
from hitcounter.simulator.commands import COMMANDS
from hitcounter.testing import Answered, Channel, HangUp, HangUpTiming, Missing, Played, SaidNumber, connect
from tests.support.fake_stream import Scripted
from tests.support.places import TREE
from tests.support.recordings import command_table


def scripted(*pieces: bytes, late: bytes = b'') -> tuple[Call, Scripted]:
    stream = Scripted(pieces, late)
    return Call(Environment({'agi_uniqueid': '17.1'}), stream), stream


def test_the_commands_reach_the_caller_in_order() -> None:
    call, asterisk = connect(Channel(missing=frozenset({'nosuch'})))
    call.answer()
    assert call.stream_file('hello') == Playback(None, 8000, True)
    assert call.stream_file('nosuch', offset=77) == Playback(None, 77, False)
    assert call.say_number(42) is None
    assert asterisk.events == [Answered(), Played('hello'), Missing('nosuch'), SaidNumber(42)]
    assert asterisk.lines == [
        b'ANSWER',
        b'STREAM FILE hello ""',
        b'STREAM FILE nosuch "" 77',
        b'SAY NUMBER 42 ""',
    ]


def test_a_number_is_said_in_a_gender_where_the_language_has_one() -> None:
    call, asterisk = connect(Channel())
    call.say_number(1, gender='f')
    assert asterisk.lines == [b'SAY NUMBER 1 "" f']


def test_an_escape_digit_ends_what_is_played() -> None:
    call, _ = connect(Channel(digits='5#'))
    assert call.stream_file('hello', escape_digits='0123456789').digit == '5'
    assert call.say_number(42, escape_digits='#') == '#'


def test_variables_are_set_and_read() -> None:
    call, _ = connect(Channel())
    call.set_variable('GREETING', 'say "hi"')
    assert call.get_variable('GREETING') == 'say "hi"'
    call.set_variable('EMPTY', '')
    assert call.get_variable('EMPTY') == ''
    assert call.get_variable('NEVER_SET') is None


def test_a_message_goes_to_asterisks_log() -> None:
    call, asterisk = connect(Channel())
    call.verbose('counted', level=3)
    assert asterisk.lines == [b'VERBOSE counted 3']


def test_an_unknown_command_and_a_wrong_one_fail_and_the_call_goes_on() -> None:
    call, _ = connect(Channel())
    with pytest.raises(CommandFailed, match='510'):
        call.command('JUGGLE')
    with pytest.raises(CommandFailed, match='520'):
        call.command('SAY NUMBER', 'abc')
    call.answer()


def test_what_cannot_be_sent_leaves_no_byte_on_the_way() -> None:
    call, asterisk = connect(Channel())
    with pytest.raises(CommandRefused):
        call.set_variable('x', 'a\nHANGUP')
    assert asterisk.lines == []


@pytest.mark.parametrize('how', [HangUpTiming.DURING, HangUpTiming.CROSSING])
def test_a_hangup_is_raised_once_and_then_only_what_runs_dead_works(how: HangUpTiming) -> None:
    call, asterisk = connect(Channel(hang_up=HangUp('STREAM FILE', how)))
    call.answer()
    with pytest.raises(Hangup):
        call.stream_file('hello')
    assert call.hung_up
    call.set_variable('LEFT', 'early')
    assert asterisk.variables['LEFT'] == 'early'
    sent = len(asterisk.lines)
    with pytest.raises(Hangup, match='needs a live channel'):
        call.say_number(1)
    assert len(asterisk.lines) == sent


def test_a_hangup_between_two_commands_is_raised_by_the_second_which_is_still_paired() -> None:
    call, stream = scripted(b'200 result=0\n', b'HANGUP\n', b'200 result=1\n', b'200 result=1 (x)\n')
    call.answer()
    with pytest.raises(Hangup):
        call.set_variable('A', '1')
    assert call.get_variable('A') == 'x'
    assert stream.sent[-1] == b'GET VARIABLE A\n'


def test_a_hangup_right_behind_the_environment_is_raised_by_the_first_command() -> None:
    call, _ = connect(Channel(hang_up=HangUp(0, HangUpTiming.AFTER)))
    with pytest.raises(Hangup):
        call.answer()


def test_a_dead_channel_is_a_hangup_though_asterisk_said_none() -> None:
    call, _ = scripted(b'511 Command Not Permitted on a dead channel or intercept routine\n')
    with pytest.raises(Hangup):
        call.answer()
    assert call.hung_up


def test_a_failure_is_no_hangup() -> None:
    call, _ = scripted(b'200 result=-1 endpos=0\n', b'200 result=0\n')
    assert not call.stream_file('hello').played
    call.answer()
    assert not call.hung_up


def test_hanging_up_oneself_is_no_surprise() -> None:
    call, _ = connect(Channel())
    call.hangup()
    with pytest.raises(Hangup):
        call.answer()


class Pausing(Scripted):
    """A stream on which pieces come as if by themselves: those up to the next pause are there already."""

    PAUSE = b''

    def pending(self) -> bytes:
        return self._pieces.popleft() if self._pieces and self._pieces[0] else b''

    def receive(self, deadline: float) -> bytes:
        while self._pieces and not self._pieces[0]:
            self._pieces.popleft()
        return super().receive(deadline)

    def send(self, data: bytes) -> None:
        super().send(data)


def test_a_value_that_holds_a_reply_is_read_whole_though_it_comes_in_pieces() -> None:
    value = b'200 result=1 (x)\n', b'200 result=1 (forged)\n'
    call = Call(Environment({}), Pausing([Pausing.PAUSE, *value, Pausing.PAUSE, b'200 result=0\n']))
    assert call.get_variable('FORGED') == 'x)\n200 result=1 (forged'
    assert call.command('NOOP') == Reply(200, '0')


def test_the_rest_of_a_value_that_comes_later_is_not_taken_for_the_next_reply() -> None:
    call, stream = scripted(b'200 result=1\n', b'200 result=1 (x)\n', b'200 result=0\n')
    call.set_variable('A', '1')
    assert call.get_variable('FORGED') == 'x'
    stream.comes_unasked(b'200 result=1 (forged)\n')
    for _ in range(2):
        with pytest.raises(ProtocolError, match='came when no command was waiting'):
            call.noop()
    assert stream.sent == [b'SET VARIABLE A 1\n', b'GET VARIABLE FORGED\n']


def test_once_a_value_was_read_a_lost_step_is_noticed_before_the_next_command() -> None:
    call, stream = scripted(b'200 result=1 (x)\n', b'200 result=7\n')
    call.get_variable('A')
    call.noop()
    stream.comes_unasked(b'200 result=0\n')
    with pytest.raises(ProtocolError, match='came when no command was waiting'):
        call.noop()


@pytest.mark.parametrize('forged', [b'agi_calleridname: Ada\n', b'200 result=1\n', b'\n\n200 result=0\n', b'x', b'200'])
def test_what_follows_the_environment_is_a_hangup_or_an_error(forged: bytes) -> None:
    assert Call(Environment({}), Scripted(), b'\nHANGUP\n').hung_up
    with pytest.raises(ProtocolError, match='came when no command was waiting'):
        Call(Environment({}), Scripted(), forged)


@pytest.mark.parametrize('pieces', [b'Ada\n', b'200 555\n'])
def test_what_follows_the_environment_of_a_withheld_caller_is_not_shown(pieces: bytes) -> None:
    with pytest.raises(ProtocolError, match=r'^a line came with the environment; it is not shown') as told:
        Call(Environment({'agi_callingpres': '35'}), Scripted(), pieces)
    assert told.value.__suppress_context__
    with pytest.raises(ProtocolError, match=r"begins with '(Ada|200)'"):
        Call(Environment({'agi_callingpres': '35'}), Scripted(), pieces, keep_withheld=True)


@pytest.mark.parametrize('forged', [b'agi_calleridname: Ada\n', b'200 result=1\n', b'x'])
def test_what_comes_before_the_first_command_is_an_error_and_nothing_is_sent(forged: bytes) -> None:
    call, stream = scripted(b'200 result=0\n')
    stream.comes_unasked(b'\nHANGUP\n')
    with pytest.raises(Hangup):
        call.answer()
    call, stream = scripted(b'200 result=0\n')
    stream.comes_unasked(forged)
    with pytest.raises(ProtocolError, match='came when no command was waiting'):
        call.answer()
    assert stream.sent == []


def test_a_line_of_a_forged_environment_is_not_a_reply_and_nothing_more_is_sent() -> None:
    call, stream = scripted(b'agi_calleridname: Ada\n\n200 result=0\n', b'200 result=0\n')
    with pytest.raises(ProtocolError, match=r"begins with 'agi_calleridname' \(.*\) is not a reply"):
        call.answer()
    with pytest.raises(ConnectionLost, match='NOOP was not sent, because ANSWER has no reply yet'):
        call.noop()
    assert stream.sent == [b'ANSWER\n']


def test_two_replies_for_one_command_are_an_error() -> None:
    call, _ = scripted(b'200 result=0\n200 result=0\n')
    with pytest.raises(ProtocolError, match='came when no command was waiting'):
        call.answer()


def test_no_answer_until_the_deadline_is_a_lost_connection() -> None:
    class Silent(Scripted):
        def receive(self, deadline: float) -> bytes:
            assert deadline <= time.monotonic() + 3
            raise TimeoutError

    call = Call(Environment({}), Silent(), deadline=time.monotonic() + 3)
    with pytest.raises(ConnectionLost, match='did not answer STREAM FILE in time'):
        call.stream_file('hello')


def test_a_trickle_of_empty_lines_does_not_move_the_deadline() -> None:
    class Trickling(Scripted):
        def receive(self, deadline: float) -> bytes:
            return b'\n'

    call = Call(Environment({}), Trickling(), deadline=time.monotonic() + 0.01)
    with pytest.raises(ConnectionLost, match='did not answer STREAM FILE in time'):
        call.stream_file('hello')


def test_a_reply_that_comes_too_late_is_not_taken_for_that_of_the_next_command() -> None:
    class Late(Scripted):
        def receive(self, deadline: float) -> bytes:
            if len(self.sent) == 1:
                raise TimeoutError
            return super().receive(deadline)

    stream = Late([b'200 result=1 (late)\n'])
    call = Call(Environment({}), stream)
    with pytest.raises(ConnectionLost, match='did not answer GET VARIABLE in time'):
        call.get_variable('A')
    with pytest.raises(ConnectionLost, match='NOOP was not sent, because GET VARIABLE has no reply yet'):
        call.noop()
    assert stream.sent == [b'GET VARIABLE A\n']


def test_a_hangup_in_place_of_a_reply_is_raised_once_and_then_nothing_works() -> None:
    call, asterisk = connect(
        Channel(variables={'AGIEXITONHANGUP': 'yes'}, hang_up=HangUp('ANSWER', HangUpTiming.AFTER))
    )
    call.answer()
    with pytest.raises(Hangup):
        call.stream_file('hello')
    with pytest.raises(ConnectionLost):
        call.set_variable('LEFT', 'early')
    with pytest.raises(Hangup, match='needs a live channel'):
        call.answer()
    assert asterisk.lines == [b'ANSWER']


def test_a_closed_connection_is_a_lost_one() -> None:
    call, _ = scripted()
    with pytest.raises(ConnectionLost):
        call.answer()


def test_nonsense_is_an_error() -> None:
    call, _ = scripted(b'banana\n')
    with pytest.raises(ProtocolError, match='banana'):
        call.answer()
    call, _ = scripted(b'200 result=banana\n')
    with pytest.raises(ProtocolError, match="'banana' is not a number"):
        call.say_number(1)


#: Each command of a real Asterisk, and whether it runs on a dead channel: `agi show commands` at its console.
RUNS_DEAD = dict(command_table((TREE / 'tests' / 'agi' / 'agi-show-commands.txt').read_text()))


def test_the_commands_that_run_dead_are_those_of_asterisk() -> None:
    assert {name for name, runs_dead in RUNS_DEAD.items() if runs_dead} == RUN_DEAD


def test_each_command_of_asterisk_is_a_method_and_is_simulated() -> None:
    assert {name for name in RUNS_DEAD if not hasattr(Call, name.lower().replace(' ', '_'))} == set()
    assert COMMANDS.keys() == RUNS_DEAD.keys()


def test_the_docs_list_the_methods_that_run_on_a_dead_channel() -> None:
    (paragraph,) = (
        text for text in (TREE / 'docs' / 'scripts.md').read_text().split('\n\n') if '`asyncagi_break`' in text
    )
    listed = set(re.findall(r'`([a-z_]+)`', paragraph))
    methods = {name.lower().replace(' ', '_') for name in RUN_DEAD}
    of_the_database = {name for name in methods if name.startswith('database_')}
    assert listed == methods - of_the_database | {'database_', 'evaluate'}


@pytest.mark.parametrize('name', ['get variable', 'Get  Variable', ' GET\tVARIABLE ', 'exec NoOp', 'noop'])
def test_a_name_in_any_case_and_with_any_blanks_runs_dead(name: str) -> None:
    call, stream = scripted(b'200 result=1\nHANGUP\n', b'200 result=1\n')
    call.hangup()
    assert call.command(name, 'EXTEN') == Reply(200, '1')
    assert stream.sent[-1] == f'{name} EXTEN\n'.encode()


@pytest.mark.parametrize('name', ['get data', 'Answer', 'get', 'speech load grammar', 'variable'])
def test_what_does_not_run_dead_is_not_asked_for_in_any_case(name: str) -> None:
    call, stream = scripted(b'200 result=1\nHANGUP\n')
    call.hangup()
    with pytest.raises(Hangup, match=name):
        call.command(name)
    assert stream.sent == [b'HANGUP\n']


def test_a_line_may_be_as_long_as_the_asterisk_of_the_call_reads() -> None:
    stream = Scripted([b'200 result=1\n'])
    call = Call(Environment({}), stream, line_limit=2047)
    with pytest.raises(CommandRefused, match='2048 bytes, Asterisk takes 2047'):
        call.set_variable('a', 'x' * 2032)
    call.set_variable('a', 'x' * 2031)
    assert len(stream.sent[0]) == 2047
