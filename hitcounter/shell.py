"""hitcounter-shell: Python on the live database, at a prompt or from a script."""

import inspect
import os
import sys
import traceback
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from . import log, settings
from .errors import ReadOnly
from .state import Component, Database, Session, WritingSession, open_database


@click.command(
    cls=settings.Command,
    short_help='Look into the database.',
    context_settings={'allow_interspersed_args': False},  # what follows a script is the script's
)
@settings.config
@settings.storage
@click.option('--write', is_flag=True, help='Allow changes: commit() stores them, abort() forgets them.')
@click.option('-c', 'code', metavar='CODE', help='Run CODE instead of asking for it.')
@click.argument('script', type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.argument('arguments', nargs=-1, type=click.UNPROCESSED)
def main(storage: str, write: bool, code: str | None, script: Path | None, arguments: tuple[str, ...]) -> None:
    """Look into the database, and change it with --write, while the server runs or not.

    With a SCRIPT, -c, or something on standard input, that is run, with status 1 if it fails. For example:

        hitcounter-shell -c 'print(hits.count("31415"))'
    """
    if code is not None and script is not None:
        raise click.UsageError('give a script or -c, not both')
    log.set_up('error')
    with (
        closing(open_database(storage, read_only=not write)) as database,
        closing(WritingSession(database.db) if write else Session(database.db)) as session,
    ):
        names = _names(session)
        if code is not None:
            _run(code, '-c', names)
        elif script is not None:
            sys.argv = [str(script), *arguments]
            _run(script.read_bytes(), str(script), names)
        elif not sys.stdin.isatty():
            _run(sys.stdin.buffer.read(), '<stdin>', names)
        else:
            _converse(names, session, _banner(database, names, session))
        if write and session.is_changed:
            click.echo('Changes that were not committed are forgotten: call commit() to keep them.', err=True)


def _names(session: Session) -> dict[str, Any]:
    """What the shell's user finds there: every component by its name, `root`, `commit` and `abort`."""
    components = {name: part for name, part in session.root.items() if isinstance(part, Component)}
    if isinstance(session, WritingSession):
        commit, abort = session.commit, session.abort
    else:
        commit, abort = _refuse, session.refresh
    return {**components, 'root': session.root, 'commit': commit, 'abort': abort}


def _refuse() -> None:
    raise ReadOnly('this shell only reads: start it with --write to change the database')


def _banner(database: Database, names: dict[str, Any], session: Session) -> str:
    components = [f'  {name}: {inspect.getdoc(part)}' for name, part in names.items() if isinstance(part, Component)]
    if isinstance(session, WritingSession):
        rule = 'commit() stores your changes, abort() forgets them.'
    else:
        rule = 'For reading only: start with --write to change it.'
    return '\n'.join([database.description, *components, f'  root: {", ".join(session.root)}', rule, ''])


def _converse(names: dict[str, Any], session: Session, banner: str) -> None:
    """Let IPython ask for one piece of code after the other, each of which sees the database as it then is."""
    # Here, for it takes longer than all that a script may want.
    from IPython.terminal.ipapp import TerminalIPythonApp
    from traitlets.config import Config

    with ExitStack() as resources:
        config = Config()
        config.TerminalInteractiveShell.banner1 = banner
        config.TerminalInteractiveShell.enable_tip = False
        config.TerminalInteractiveShell.confirm_exit = False
        if not _has_home():
            config.TerminalIPythonApp.ipython_dir = resources.enter_context(TemporaryDirectory())
        application: Any = TerminalIPythonApp.instance(config=config)
        application.initialize([])
        application.shell.push(names)
        application.shell.events.register('pre_run_cell', lambda _: session.refresh())
        application.start()


def _has_home() -> bool:
    """Whether IPython has a folder to keep its history in, or can make it."""
    folder = Path(os.environ.get('IPYTHONDIR', '~/.ipython')).expanduser()
    return os.access(folder if folder.exists() else folder.parent, os.W_OK | os.X_OK)


def _run(source: str | bytes, name: str, names: dict[str, Any]) -> None:
    """Run a script to its end. One that raises is shown as Python shows it, and ends the shell with status 1."""
    try:
        exec(compile(source, name, 'exec'), {'__name__': '__main__', **names})
    except Exception as error:  # noqa: BLE001 -- whatever the script did not handle
        own = error.__traceback__ and error.__traceback__.tb_next  # without this function
        traceback.print_exception(error.with_traceback(own))
        sys.exit(1)
