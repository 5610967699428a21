"""Components of the tests, and what holds the writer up."""

import threading

from BTrees.Length import Length
from persistent.list import PersistentList

from hitcounter.state import Component, Components, State, query, update
from tests.support.patience import PATIENCE


class Notes(Component):
    """Things that were said."""

    name = 'notes'

    def __init__(self) -> None:
        self.texts = PersistentList()

    @update
    def add(self, text: str, *, fail: bool = False) -> int:
        self.texts.append(text)
        if fail:
            raise ValueError(text)
        return len(self.texts)

    @update
    def add_what_cannot_be_stored(self) -> None:
        self.texts.append(threading.Lock())

    @update
    def leak(self) -> PersistentList:
        return self.texts

    @query
    def all(self) -> list[str]:
        return list(self.texts)

    @query
    def leak_in_a_query(self) -> PersistentList:
        return self.texts

    @query
    def write_in_a_query(self) -> None:
        self.texts.append('never')

    def neither(self) -> None:
        """Is not marked."""


class Total(Component):
    """How much was said."""

    name = 'total'
    depends = (Notes,)

    def __init__(self) -> None:
        self.length = Length()

    @update
    def change(self, by: int) -> None:
        self.length.change(by)

    @query
    def value(self) -> int:
        return int(self.length())


class held_up:
    """Hold the writer up, so that what comes meanwhile is one batch."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._held, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=state.update, args=(self._hold,))

    def _hold(self, _: Components) -> None:
        self._held.set()
        assert self._go.wait(PATIENCE)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._held.wait(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(PATIENCE)
