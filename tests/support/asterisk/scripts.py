"""A server of its own process with scripts that do not end as they should, and a few that do.

python tests/asterisk/scripts.py PORT [CALL_TIMEOUT]
"""

import signal
import sys
from contextlib import suppress

from hitcounter.agi import Call, Server, script
from hitcounter.errors import Hangup


@script('second')
def second(call: Call) -> None:
    """Does what the first server did not do."""
    call.set_variable('HITCOUNTER_NUMBER', 'second')


@script('31441')
def dial_for_long(call: Call) -> None:
    """An application that lasts longer than the script gives it."""
    call.answer()
    call.exec('Wait', 3, timeout=0.2)


@script('31442')
def wait_for_the_hangup(call: Call) -> None:
    """No command, until the caller is gone."""
    call.answer()
    call.set_variable('HITCOUNTER_NUMBER', 'waiting')
    call.verbose('the script waits')
    while not call.hung_up:
        pass
    with suppress(Hangup):
        call.set_variable('HITCOUNTER_NUMBER', 'left')


@script('31443')
def speak_for_long(call: Call) -> None:
    """A sound file that lasts longer than the call may."""
    call.answer()
    call.stream_file('demo-congrats')


@script('31444')
def send_no_command(call: Call) -> None:
    """The same with no command at all."""
    call.answer()
    while not call.hung_up:
        pass


@script('31445')
def record_for_long(call: Call) -> None:
    """A recording runs to its end before Asterisk reads anything."""
    call.answer()
    call.record_file('/tmp/hitcounter-test', 'wav', timeout=4)


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    scripts = [second, dial_for_long, wait_for_the_hangup, speak_for_long, send_no_command, record_for_long]
    server = Server(scripts, port=int(sys.argv[1]), call_timeout=float(sys.argv[2]))
    server.start()
    signal.sigwait([signal.SIGTERM])
    server.stop()


if __name__ == '__main__':
    main()
