"""hitcounter-agi: one call in a process that Asterisk starts, counted together with those of the server."""

from . import interrupt as _interrupt  # noqa: F401 -- first, for Ctrl-C while the others are imported

# isort: split

import sys
from contextlib import closing

import click

from . import hits, installed, log, settings
from .agi import Script
from .agi.process import run, standard_stream
from .state import State, open_database


@click.command(
    cls=settings.Command,
    short_help='Take one call, started by Asterisk.',
    context_settings={'allow_interspersed_args': False},  # what follows the script may be what a caller said
)
@settings.config
@settings.storage
@settings.prompt(hits.PROMPTS)
@settings.max_lines
@settings.withheld
@settings.call_timeout
@settings.line_limit
@settings.log_level
@click.argument('script', required=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def main(
    storage: str,
    prompt: tuple[str, ...],
    max_lines: int,
    withheld: str,
    call_timeout: float,
    line_limit: int,
    log_level: str,
    script: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Take one call on standard input and output: count it, durably, and tell the caller the number.

    In the dialplan:  exten => 31415,1,AGI(/path/to/hitcounter-agi,hits)

    SCRIPT is what the caller gets, 'hits' if none is named. The exit status is 0, or 1 if the call failed.
    """
    with standard_stream() as stream:
        log.set_up(log_level)
        with (
            closing(open_database(storage)) as database,
            closing(State(database, installed.components())) as state,
        ):
            tell_the_number = hits.tell_the_number.bind(state=state, prompts=prompt, max_lines=max_lines)
            scripts = [Script('', tell_the_number.function), tell_the_number, *installed.scripts(state=state)]
            well = run(
                scripts,
                stream,
                (script or '', *arguments),
                call_timeout=call_timeout,
                line_limit=line_limit,
                keep_withheld=withheld == 'keep',
            )
    sys.exit(0 if well else 1)
