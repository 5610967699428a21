"""Callers: threads that call servers again and again, and write down what they hear."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from hitcounter.hits import APOLOGY
from hitcounter.simulator import Channel, Played, SaidNumber, SimulatedCall, run_call
from tests.support.cluster.judge import Heard
from tests.support.patience import PATIENCE

#: What a caller learns from a server that is gone.
REFUSED = 'nobody listens'

#: Seconds that a caller pauses who could not be served.
_PAUSE = 0.05

#: Seconds between two looks at the calls, which is cheaper than to look after each.
_LOOK = 0.05


class Callers:
    """`each` callers at a time for each of `servers`, by name, who dial `line` until `stop`."""

    def __init__(self, servers: dict[str, tuple[str, int]], line: str, each: int = 6) -> None:
        self.line = line
        self._each = each
        self._over = threading.Event()
        self._heard: list[Heard] = []  # which each caller appends to
        self._threads: list[threading.Thread] = []
        for name, address in servers.items():
            self.call(name, address)

    def call(self, name: str, address: tuple[str, int]) -> None:
        """Let as many callers as for the others call this server, too."""
        for place in range(self._each):
            prefix = f'{self.line}.{name}.{len(self._threads)}'
            thread = threading.Thread(target=self._run, args=(name, address, prefix), name=f'caller {name} {place}')
            self._threads.append(thread)
            thread.start()

    def _run(self, name: str, address: tuple[str, int], prefix: str) -> None:
        serial = 0
        while not self._over.is_set():
            serial += 1
            heard = _call(name, address, Channel(extension=self.line, unique_id=f'{prefix}.{serial}'))
            self._heard.append(heard)
            if heard.lost == REFUSED:
                return  # Asterisk would try another server
            if heard.number is None:
                self._over.wait(_PAUSE)

    def wait_for_numbers(self, *servers: str, after: float = 0.0, times: int = 5) -> None:
        """Wait until so many callers of each of these servers, who called after a moment, have heard a number."""

        def came() -> bool:
            calls = Counter(call.server for call in [*self._heard] if call.number is not None and call.began > after)
            return all(calls[server] >= times for server in servers)

        self._wait_until(came, f'{times} numbers from each of {servers}')

    def wait_for_apologies(self, *servers: str, after: float, times: int = 1) -> None:
        """Wait until so many callers of each of these servers, who called after a moment, have heard an apology."""

        def came() -> bool:
            calls = Counter(call.server for call in [*self._heard] if call.apology and call.began > after)
            return all(calls[server] >= times for server in servers)

        self._wait_until(came, f'{times} apologies from each of {servers}')

    def _wait_until(self, came: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not came():
            last = '\n'.join(map(str, self._heard[-10:]))
            assert time.monotonic() < end, f'waited in vain for {what}; the last calls:\n{last}'
            time.sleep(_LOOK)

    def stop(self) -> list[Heard]:
        """Let the calls end that have begun; returns all of them."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
            assert not thread.is_alive(), f'{thread.name} still waits'
        return self._heard


def _call(server: str, address: tuple[str, int], channel: Channel) -> Heard:
    """Run a whole call; what its caller heard first."""
    began = time.monotonic()
    heard: Heard | None = None
    lost = 'the call ended without a word'
    try:
        for event in run_call(SimulatedCall(channel), address, timeout=PATIENCE):
            if heard is None and isinstance(event, SaidNumber):
                heard = Heard(server, channel.unique_id, began, time.monotonic(), event.number)
            if heard is None and event == Played(APOLOGY[0]):
                heard = Heard(server, channel.unique_id, began, time.monotonic(), apology=True)
    except ConnectionRefusedError:
        lost = REFUSED
    except OSError as error:
        lost = str(error) or type(error).__name__
    return heard or Heard(server, channel.unique_id, began, time.monotonic(), lost=lost)
