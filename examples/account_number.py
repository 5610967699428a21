"""Asks for a 16-digit account number up to three times, checks it, reads it back, and passes it to the dialplan.

    python examples/account_number.py
    hitcounter call --to agi://127.0.0.1:4573/account --digits 45391488034364671

Record the sound files whose names begin with `account-` yourself.
"""

import signal

from hitcounter.agi import Call, Server, script
from hitcounter.agi.ivr import ask, menu


def has_right_check_digit(number: str) -> bool:
    """Whether the last digit is the check digit of the Luhn algorithm."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


@script('account')
def ask_for_account(call: Call) -> None:
    call.answer()
    number = ask(
        call,
        'account-enter',
        digits=16,
        valid=has_right_check_digit,
        attempts=3,
        no_input='account-nothing-heard',
        invalid='account-no-such',
    )
    if number is not None:
        call.say_digits(number)
        if menu(call, 'account-press-1-if-right-2-if-not', choices='12') == '1':
            call.set_variable('ACCOUNT', number)
            return
    call.stream_file('vm-goodbye')


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    server = Server([ask_for_account])
    server.start()
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    server.stop(drain=30)


if __name__ == '__main__':
    main()
