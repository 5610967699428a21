"""Commands for the dialplan: variables, the database, applications and subroutines."""

import re
from typing import Final

from ..channel import decode, encode
from ..expressions import expand
from ..leg import CallLeg
from .applications import run_application
from .command import Outcome, command

#: Bytes of a value that GET VARIABLE returns; GET FULL VARIABLE returns all.
_MAX_VALUE: Final = 1023

# Asterisk has these in its usage texts, where they look like replies.
_EXAMPLE: Final = 'Example return code: 200 result=1 (testvariable)\n'
_FULL_EXAMPLE: Final = 'Example return code: 200 result=1 (The time is 1578493800)\n'


# Variables and the database.


@command('SET VARIABLE', '<name> <value>')
def set_variable(leg: CallLeg, arguments: list[str]) -> Outcome:
    leg.set(*arguments)
    return Outcome('1')


@command('GET VARIABLE', '<name>', example=_EXAMPLE)
def get_variable(leg: CallLeg, arguments: list[str]) -> Outcome:
    value = leg.get(arguments[0])
    return _value(None if value is None else decode(encode(value)[:_MAX_VALUE]))


@command('GET FULL VARIABLE', '<expression> [<channelname>]', example=_FULL_EXAMPLE)
def get_full_variable(leg: CallLeg, arguments: list[str]) -> Outcome:
    return _value(leg.expand_on(arguments[1:], arguments[0]))


@command('DATABASE GET', '<family> <key>', example=_EXAMPLE)
def database_get(leg: CallLeg, arguments: list[str]) -> Outcome:
    return _value(leg.database.get('/'.join(arguments)))


@command('DATABASE PUT', '<family> <key> <value>')
def database_put(leg: CallLeg, arguments: list[str]) -> Outcome:
    leg.database['/'.join(arguments[:2])] = arguments[2]
    return Outcome('1')


@command('DATABASE DEL', '<family> <key>')
def database_del(leg: CallLeg, arguments: list[str]) -> Outcome:
    leg.database.pop('/'.join(arguments), None)
    return Outcome('1')


@command('DATABASE DELTREE', '<family> [<keytree>]')
def database_deltree(leg: CallLeg, arguments: list[str]) -> Outcome:
    names = arguments if arguments[0] else []  # the whole database
    root = ''.join(f'{name}/' for name in names if name)
    like = re.escape(root).replace('%', '.*').replace('_', '.')  # as in SQL, which Asterisk uses
    tree = [key for key in leg.database if re.match(like, f'{key}/', re.IGNORECASE | re.DOTALL)]
    for key in tree:
        del leg.database[key]
    return Outcome('0' if tree else '1')


def _value(value: str | None) -> Outcome:
    return Outcome('0' if value is None else f'1 ({value})')


# Applications and subroutines.


@command('EXEC', '<application> ...')
def execute(leg: CallLeg, arguments: list[str]) -> Outcome:
    options = arguments[1] if arguments[1:] else ''
    return run_application(leg, arguments[0], leg.expand(options) if leg.is_on('AGIEXECFULL') else options)


@command('GOSUB', '<context> <extension> <priority> [<argument>]')
def gosub(leg: CallLeg, arguments: list[str]) -> Outcome:
    if not all(leg.has(name) for name in arguments[:3]):
        return Outcome('-1 Gosub label not found', failed=True)
    given = ','.join(arguments[3:]).split(',')
    local = {f'ARG{number}': argument for number, argument in enumerate(given, 1)}
    returned = leg.channel.subroutines.get(','.join(arguments[:3]), '')
    leg.set('GOSUB_RETVAL', expand(returned, lambda name: local.get(name, leg.get(name))))
    return Outcome('0 Gosub complete', lead='100 result=0 Trying...\n')
