"""What is public shows itself in one short line, and what has to be closed closes itself at the end of a `with`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from persistent import Persistent

import hitcounter.agi
import hitcounter.hits
import hitcounter.state
import hitcounter.testing
from hitcounter.agi import Audio, Call, Environment, Server, script
from hitcounter.errors import StateClosed
from hitcounter.hits import Caller, Hit, HitCounter, Line, tell_the_number
from hitcounter.state import (
    Component,
    Components,
    Journal,
    ReadConnection,
    State,
    Stored,
    Tally,
    WriteConnection,
    open_database,
)
from hitcounter.testing import Application, Channel, OtherChannel, SaidNumber, connect, place_call

#: Characters that one of them may have.
SHORT = 200

#: Those that show all values that they were made of, however many.
VALUES = (Environment, Channel)

PUBLIC: list[tuple[ModuleType, str]] = [
    (module, name)
    for module in (hitcounter.agi, hitcounter.hits, hitcounter.state, hitcounter.testing)
    for name in module.__all__
    if isinstance(getattr(module, name), type)
]


class Bell(Component):
    """A component of the tests."""

    name = 'bell'


@script('greet')
def greet(call: Call) -> None:
    call.answer()


@contextmanager
def made(kind: type) -> Iterator[Any]:
    """Something of that class."""
    with (
        open_database('memory:') as database,
        State(database, [HitCounter, Bell]) as state,
        ReadConnection(database.db) as reading,
        WriteConnection(database.db) as writing,
        state.subscribe() as updates,
        Server([greet], port=0) as server,
    ):
        call, simulated = connect(Channel())
        journal, tally = Journal(), Tally()
        journal.append(('a record',) * 50)
        tally.add(1)
        there = [database, state, reading, writing, updates, server, call, simulated, journal, tally, greet, Line()]
        there += [call.environment, Components(reading.root), Stored('bell.ring', (), {}, None), Bell(), HitCounter()]
        there += [Caller('555', 'Bob', '1.1'), Hit(1, 1.5, Caller('555', 'Bob', '1.1'))]
        there += [Channel(), OtherChannel(), Application(), Audio(3)]
        found = [thing for thing in there if isinstance(thing, kind)]
        yield found[0] if found else _of_fields(kind)


def _of_fields(kind: type) -> Any:
    """One of a class of plain values, whose fields may be anything here."""
    names = getattr(kind, '_fields', None) or getattr(kind, '__dataclass_fields__', {})
    return next(iter(kind)) if issubclass(kind, Enum) else kind(*['x' for _ in names])


@pytest.mark.parametrize(('module', 'name'), PUBLIC, ids=[f'{module.__name__}.{name}' for module, name in PUBLIC])
def test_what_is_public_shows_itself_in_one_short_line(module: ModuleType, name: str) -> None:
    with made(getattr(module, name)) as thing:
        shown = repr(thing)
    assert '\n' not in shown
    assert len(shown) < SHORT or isinstance(thing, VALUES)
    assert type(thing).__name__.lstrip('_') in shown or shown.startswith('<')
    # That of persistent objects names their id and connection, and loads nothing: it is also shown where loading fails.
    assert ' object at 0x' not in shown or isinstance(thing, Persistent)


def test_what_was_opened_is_closed_at_the_end_of_a_with(tmp_path: Path) -> None:
    uri = f'file:{tmp_path}/hits.fs'
    with (
        open_database(uri, share=True) as database,
        State(database, [HitCounter]) as state,
        Server([tell_the_number.bind(state=state)], port=0) as server,
    ):
        address = server.address
        assert SaidNumber(1) in place_call(address, Channel()).events
        assert state[HitCounter].count('31415') == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address).close()
    with pytest.raises(StateClosed):
        state[HitCounter].hit('31415', Caller('555', 'Bob', '1.1'))
    with open_database(uri, share=True) as again, State(again, [HitCounter]) as state:  # the file is free
        assert state[HitCounter].count('31415') == 1
