"""hitcounter verify: whether the database is whole."""

import logging
import sys
from collections import Counter
from contextlib import closing

import click

from ..counts import count_of
from ..errors import RESTORE
from ..state.storage.database import Address
from ..state.upkeep.verification import Verdict, findings
from . import log, options
from .advice import with_restore
from .base import Command

#: What to say about the findings of each kind.
_VERDICTS = {
    Verdict.DAMAGE: f'is damaged: {{}}; {RESTORE}',
    Verdict.DISK: 'cannot be read from its disk: {}; check the disk, and verify again',
    Verdict.MISSING: 'needs code that is missing here: {}; install the packages that stored it, in versions '
    'that have that code',
    Verdict.FAILING: 'meets code that fails: {}; fix that code, in the places that they name',
    Verdict.DISAGREES: f'does not agree with itself: {{}}; fix the data (hitcounter-shell --write), or {RESTORE}',
}


@click.command(
    cls=Command,
    epilog='Example: hitcounter verify --storage file:///srv/hits.fs && hitcounter backup /srv/backups/hits',
)
@options.config
@options.storage
def main(storage: Address) -> None:
    """Read every transaction, load every object, and let each component check itself. The server may be running.

    Print a line for each finding; exit status 1 if there are any. Damage, missing code, code that fails, and components
    that do not agree with themselves are reported separately.
    """
    log.set_up('error')
    logging.getLogger('ZODB').setLevel(logging.CRITICAL)  # what it logs as an error is a finding
    found: Counter[Verdict] = Counter()
    with closing(storage.open_as_stored()) as database:
        for verdict, sentence in findings(database):
            click.echo(sentence)
            found[verdict] += 1
        for verdict, count in found.items():
            sentence = f'the database ({database.description}) {_VERDICTS[verdict].format(count_of(count, "finding"))}'
            click.echo(with_restore(sentence), err=True)
        if found:
            sys.exit(1)
        click.echo(f'{count_of(database.objects, "object")} checked, no damage found')
