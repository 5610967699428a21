"""Real Asterisk that starts a process for each call: it counts together with the server, and hears the caller."""

import sys

from tests.support.asterisk.counter import PROCESS, Serve, Server, use_processes
from tests.support.asterisk.telephony import Asterisk, spoken
from tests.support.places import TREE

SERVER, NO_SCRIPT, LISTENER = '31418', '31420', '31421'
TWO_SECONDS = 'queue-thereare'
HALF_A_MINUTE = 'demo-congrats'

#: Hears a second of the caller, tells how loud the loudest sample was, and then waits for the hangup.
LISTENING = """
from array import array
from hitcounter.agi import Script
from hitcounter.agi.serving.process import run, standard_stream

def listen(call):
    call.answer()
    heard = b''
    while len(heard) < 16_000:
        heard += call.audio.read()
    loudest = max(array('h', heard))
    call.verbose(f'heard {len(heard)} bytes, up to {loudest}')
    while not call.hung_up:
        call.audio.read(0.1)
    call.verbose('the listener noticed the hangup')

with standard_stream() as stream:
    run([Script('', listen)], stream)
"""


def test_processes_and_the_server_count_together(asterisk: Asterisk, server: Server) -> None:
    use_processes(asterisk, server.storage, 'hello')

    calls = [asterisk.call(line) for line in (PROCESS, PROCESS)]

    assert [call.played for call in calls] == [('hello', 'digits/1'), ('hello', 'digits/2')]
    assert [call.number for call in calls] == ['1', '2']
    assert {call.status for call in calls} == {'SUCCESS'}
    assert all(call.went_on for call in calls)


def test_ten_processes_and_ten_calls_of_the_server_at_once_are_all_well(asterisk: Asterisk, server: Server) -> None:
    use_processes(asterisk, server.storage, 'hello')
    callers = {line: [asterisk.dial(line) for _ in range(10)] for line in (PROCESS, SERVER)}

    calls = {line: [caller.ends() for caller in callers[line]] for line in callers}

    for line in (PROCESS, SERVER):  # a line counts its own callers
        assert sorted(call.played for call in calls[line]) == sorted(
            ('hello', *spoken(number)) for number in range(1, 11)
        )
        assert {call.status for call in calls[line]} == {'SUCCESS'}


def test_who_hangs_up_on_a_process_stays_counted(asterisk: Asterisk, serve: Serve) -> None:
    server = serve()
    use_processes(asterisk, server.storage, HALF_A_MINUTE)
    caller = asterisk.dial(PROCESS)
    caller.hears(HALF_A_MINUTE)

    caller.hang_up()

    call = caller.ends()
    assert call.status == 'HANGUP'
    assert call.number == '1'
    assert not call.went_on
    use_processes(asterisk, server.storage, 'hello')
    assert asterisk.call(PROCESS).played == ('hello', 'digits/2')


def test_ten_who_hang_up_on_processes_leave_no_gap(asterisk: Asterisk, serve: Serve) -> None:
    server = serve()
    use_processes(asterisk, server.storage, HALF_A_MINUTE)
    callers = [asterisk.dial(PROCESS) for _ in range(10)]
    for caller in callers:
        caller.hears(HALF_A_MINUTE)
        caller.hang_up()

    calls = [caller.ends() for caller in callers]

    assert sorted(int(call.number) for call in calls) == list(range(1, 11))
    assert {call.status for call in calls} == {'HANGUP'}


def test_a_process_without_such_a_script_or_a_database_fails(asterisk: Asterisk, server: Server) -> None:
    use_processes(asterisk, server.storage, 'hello')
    assert asterisk.call(NO_SCRIPT).status == 'FAILURE'
    use_processes(asterisk, server.storage + '.missing', 'hello')
    call = asterisk.call(PROCESS)
    assert (call.status, call.went_on, call.number) == ('FAILURE', True, '')


def test_under_eagi_a_script_hears_the_caller_and_notices_the_hangup(asterisk: Asterisk) -> None:
    asterisk.install('listener', sys.executable, '-c', LISTENING, PYTHONPATH=str(TREE))
    start = len(asterisk.log)
    caller = asterisk.dial(LISTENER, then=f'plays-{HALF_A_MINUTE}')

    heard = asterisk.log.wait(r'heard (\d+) bytes, up to (\d+)', start)
    caller.hang_up()

    assert caller.ends().status == 'HANGUP'
    assert 16_000 <= int(heard[1]) < 16_000 + 4_096
    assert 1_000 < int(heard[2]) <= 32_767
    asterisk.log.wait('the listener noticed the hangup', start)
