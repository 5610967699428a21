"""The commands of a speech engine, as Asterisk answers them if there is none."""

from ..leg import CallLeg
from .command import Outcome, command


@command('SPEECH CREATE', '...')
@command('SPEECH SET', '<name> <value>')
@command('SPEECH DESTROY', '...')
@command('SPEECH LOAD GRAMMAR', '<name> <path>')
@command('SPEECH UNLOAD GRAMMAR', '<name>')
@command('SPEECH ACTIVATE GRAMMAR', '<name>')
@command('SPEECH DEACTIVATE GRAMMAR', '<name>')
@command('SPEECH RECOGNIZE', '<prompt> <timeout> [<offset>]')
def no_engine(leg: CallLeg, arguments: list[str]) -> Outcome:
    return Outcome()
