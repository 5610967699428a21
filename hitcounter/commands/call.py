"""The command that calls a FastAGI server as Asterisk would, for people without a PBX."""

import itertools
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil, inf
from queue import SimpleQueue
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click

from ..agi.serving.server import PORT
from ..counts import count_of
from ..simulator import Channel, Event, HangUp, LineFromServer, LineToServer, SaidNumber, SimulatedCall, run_call
from ..simulator.channel import parse_caller_id
from ..simulator.commands import COMMANDS
from ..simulator.leg import KEYPAD
from .ending import Ending
from .interrupt import INTERRUPTED
from .options import config, option

#: HOST:PORT, as the server listens.
_ADDRESS = re.compile(r'[^/\s]+:\d+')


@dataclass(frozen=True, slots=True)
class Target:
    """The server to call, and the URL that it is given."""

    url: str
    address: tuple[str, int]

    def __str__(self) -> str:
        host, port = self.address
        return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


class _TargetType(click.ParamType[Target]):
    name = 'agi-url'

    def convert(self, value: str | Target, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        if isinstance(value, Target):
            return value
        try:
            return parse_target(f'agi://{value}/hits' if _ADDRESS.fullmatch(value) else value)
        except ValueError as error:
            self.fail(f'{value!r} {error}', param, ctx)


def parse_target(url: str) -> Target:
    """The target of an AGI URL. Raises ValueError, whose message completes a sentence about the URL."""
    parts = urlsplit(url)
    if parts.scheme != 'agi' or not parts.hostname:
        raise ValueError('is not an AGI URL: write agi://HOST:PORT/SCRIPT, or HOST:PORT for the script "hits"')
    if not parts.path and (parts.query or parts.fragment):
        raise ValueError('has no path, and Asterisk would take the rest for the port: put a / after it')
    if not url.isprintable():
        raise ValueError('holds characters that would break the lines of the environment block')
    return Target(url, (parts.hostname, _port(parts)))


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or PORT
    except ValueError as error:
        raise ValueError('has a port that is not a number up to 65535') from error


def _command_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    name = ' '.join(value.upper().split()) if value is not None else None
    if name is not None and name not in COMMANDS:
        raise click.BadParameter(f'{value!r} is not an AGI command: write one such as "SAY NUMBER"')
    return name


def _keys(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if strange := set(value) - set(KEYPAD):
        raise click.BadParameter(f'{min(strange)!r} is not a telephone key: use {KEYPAD}')
    return value


def _one_line(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.isprintable():
        raise click.BadParameter(f'{value!r} would break the lines of the environment block')
    return value


def _one_line_each(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_one_line(ctx, param, value) for value in values)


def _assignments(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if not value.partition('=')[0].strip() or '=' not in value:
            raise click.BadParameter(f'{value!r} is not NAME=VALUE, as in DIALSTATUS=BUSY')
    return dict(value.split('=', 1) for value in values)


@click.command(
    'call',
    cls=Ending,
    epilog='Example: hitcounter call --caller-id \'"Zoë" <+44123>\' --digits 12#',
)
@config
@option(
    '--to',
    'target',
    key='listen',
    type=_TargetType(),
    default=f'agi://127.0.0.1:{PORT}/hits',
    help='The server, and the script to ask for; HOST:PORT asks for the script "hits".',
)
@click.option(
    '--extension', default='31415', show_default=True, callback=_one_line, help='The extension that was dialled.'
)
@click.option('--caller-id', default='', callback=_one_line, help='The caller ID: a number, or "NAME" <NUMBER>.')
@click.option(
    '--digits', default='', callback=_keys, help='Keys that the caller presses, each as soon as a command listens.'
)
@click.option(
    '--hangup-after',
    'patience',
    type=click.FloatRange(min=0),
    metavar='SECONDS',
    help='The caller hangs up after this many seconds of call time, in which audio counts in full.',
)
@click.option(
    '--hangup-at',
    'hang_up_at',
    metavar='COMMAND',
    callback=_command_name,
    help='The caller hangs up while this AGI command runs for the first time.',
)
@click.option(
    '--variable',
    'variables',
    metavar='NAME=VALUE',
    multiple=True,
    callback=_assignments,
    help='A variable that the channel has when the call begins; repeatable.',
)
@click.option(
    '--argument',
    'arguments',
    metavar='TEXT',
    multiple=True,
    callback=_one_line_each,
    help='The next argument of the script, agi_arg_1 and so on; repeatable.',
)
@click.option('--missing', multiple=True, metavar='NAME', help='A sound file that Asterisk does not have; repeatable.')
@click.option(
    '--pace',
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help='Seconds to wait for each second of audio: 1 is real time, 0 does not wait.',
)
@click.option(
    '--timeout',
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help='How many seconds to wait for the server when it is silent.',
)
@click.option('-v', '--verbose', is_flag=True, help='Show the lines: < from Asterisk, > to it.')
@click.option(
    '--calls',
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help='How many calls to make; with more than one, only statistics are shown.',
)
@click.option(
    '--concurrency',
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help='How many of these calls to make at the same time.',
)
@click.pass_context
def main(
    ctx: click.Context,
    /,
    target: Target,
    patience: float | None,
    pace: float,
    timeout: float,
    verbose: bool,
    calls: int,
    concurrency: int,
    **caller: Any,
) -> None:
    """Call the server as Asterisk would, and show what the caller would hear.

    With --calls, make many calls, and show how fast they were and whether all numbers that were said differ.

    Exit status 1: a call failed, or a number was said twice.
    """
    if verbose and calls > 1:
        raise click.UsageError('-v shows the lines of a single call: leave out --calls')
    dial = _channel(target.url, **caller)
    patience = inf if patience is None else patience
    speak = partial(_events, target=target, timeout=timeout, patience=patience, pace=pace)
    try:
        well = _one_call(dial, speak, verbose) if calls == 1 else _many_calls(dial, speak, calls, concurrency)
    except KeyboardInterrupt:
        click.echo('interrupted', err=True)
        ctx.exit(INTERRUPTED)
    ctx.exit(0 if well else 1)


Dial = Callable[[], Channel]
Speak = Callable[[SimulatedCall], Iterator[Event]]


def _channel(url: str, *, caller_id: str, hang_up_at: str | None, missing: Iterable[str], **attributes: Any) -> Dial:
    """What makes the channel of each call."""
    name, number = parse_caller_id(caller_id)
    hang_up = None if hang_up_at is None else HangUp(hang_up_at)
    return partial(
        Channel,
        url=url,
        caller_id=number,
        caller_name=name,
        hang_up=hang_up,
        missing=frozenset(missing),
        **attributes,
    )


# One call, shown as it goes.


def _one_call(dial: Dial, speak: Speak, verbose: bool) -> bool:
    call = SimulatedCall(dial())
    for event in speak(call):
        if verbose or not isinstance(event, LineFromServer | LineToServer):
            click.echo(describe(event))
    click.echo(f'the call ended: AGISTATUS={call.status}')
    return _is_well(call)


def describe(event: Event) -> str:
    """One line about what happened, fit for a terminal whatever bytes the server sent."""
    return ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(event))


# Many calls, measured.


@dataclass(frozen=True, slots=True)
class Measured:
    """One call: how long it took, when which number was said, and why it failed if it did; in seconds."""

    seconds: float
    number: int | None = None
    until_said: float | None = None
    failure: str | None = None


def _many_calls(dial: Dial, speak: Speak, calls: int, concurrency: int) -> bool:
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix='call')
    done: SimpleQueue[Future[Measured]] = SimpleQueue()
    began = time.perf_counter()
    try:
        with _uninterrupted():  # within the pool, an interrupt could leave a lock of it locked for ever
            for _ in range(calls):
                pool.submit(_measure, dial, speak).add_done_callback(done.put)
        with click.progressbar(length=calls, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            measured = []
            for _ in range(calls):
                measured.append(done.get().result())
                bar.update(1)
    finally:
        pool.shutdown(cancel_futures=True)
    for line in report(measured, time.perf_counter() - began):
        click.echo(line)
    return not _failures(measured) and not _doubled(measured)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put SIGINT off to the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _measure(dial: Dial, speak: Speak) -> Measured:
    call = SimulatedCall(dial())
    number: int | None = None
    until_said: float | None = None
    began = time.perf_counter()
    try:
        for event in speak(call):
            if isinstance(event, SaidNumber) and number is None:
                number, until_said = event.number, time.perf_counter() - began
    except click.ClickException as error:
        return Measured(time.perf_counter() - began, failure=error.message)
    failure = None if _is_well(call) else f'AGISTATUS={call.status}'
    return Measured(time.perf_counter() - began, number, until_said, failure)


def report(measured: Sequence[Measured], seconds: float) -> Iterator[str]:
    """Statistics of many calls that took `seconds` together, line by line."""
    yield f'{count_of(len(measured), "call")} in {seconds:.1f} s: {len(measured) / seconds:.0f} calls/s'
    yield from _latencies('until the call ended', [call.seconds for call in measured if not call.failure])
    waits = [call.until_said for call in measured if call.until_said is not None]
    yield from _latencies('until the number was said', waits)
    for reason, count in _failures(measured).most_common():
        yield f'{count} failed: {reason}'
    yield from _numbers(measured)


def _latencies(what: str, seconds: Sequence[float]) -> Iterator[str]:
    if seconds:
        ranked = sorted(seconds)
        middle, late = (ranked[ceil(len(ranked) * share) - 1] for share in (0.5, 0.99))
        yield f'{what}: p50 {1000 * middle:.1f} ms, p99 {1000 * late:.1f} ms, max {1000 * ranked[-1]:.1f} ms'


def _numbers(measured: Sequence[Measured]) -> Iterator[str]:
    doubled = _doubled(measured)
    said = sum(call.number is not None for call in measured)
    if doubled:
        some = ', '.join(map(str, itertools.islice(sorted(doubled), 10)))
        yield f'{len(doubled)} of the numbers were said more than once: {some}'
    elif said:
        yield f'all {said} numbers were different'
    else:
        yield 'no number was said'


def _failures(measured: Sequence[Measured]) -> Counter[str]:
    return Counter(call.failure for call in measured if call.failure is not None)


def _doubled(measured: Sequence[Measured]) -> set[int]:
    counts = Counter(call.number for call in measured if call.number is not None)
    return {number for number, count in counts.items() if count > 1}


# What both share.


def _is_well(call: SimulatedCall) -> bool:
    """Whether the dialplan would have gone on as planned; a hangup is not a failure."""
    return call.status in ('SUCCESS', 'HANGUP')


def _events(call: SimulatedCall, *, target: Target, **pace: float) -> Iterator[Event]:
    """All that happens in a call. Raises ClickException if the server cannot be reached, or does not answer."""
    try:
        yield from run_call(call, target.address, **pace)
    except TimeoutError as error:
        raise click.ClickException(
            f'the server at {target} did not answer in time: is it overloaded, or another kind of server?'
        ) from error
    except OSError as error:
        raise click.ClickException(
            f'the server at {target} cannot be reached ({error.strerror or error}): is it running there?'
        ) from error
