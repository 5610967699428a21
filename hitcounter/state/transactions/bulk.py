"""Bulk: many updates, such as those of an import, in transactions between which other callers get their turn."""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from transaction.interfaces import TransientError

from ...counts import count_of
from ...errors import BulkStopped, Interrupted, OutcomeUnknown, StateClosed, UpdateFailed
from ..model.root import Root
from .interrupts import put_off

Arguments = tuple[Any, ...]

#: Updates in one transaction, at most.
AT_ONCE = 500

#: Seconds after which a transaction takes no more of them, so that no other caller waits long.
LONGEST = 0.01


class _Failed(Exception):
    """An update of a share failed, so that none was done."""

    def __init__(self, place: int, error: Exception) -> None:
        super().__init__(place, error)
        self.place = place
        self.error = error


def store(
    run: Callable[[Callable[[Root], int], str], int],
    update: Callable[..., object],
    label: str,
    all_arguments: Iterable[Arguments],
    progress: Callable[[int], object],
) -> int:
    """Run `update` with the root and each of `all_arguments`, in order, by `run`; returns how many.

    `progress` gets that number after each transaction. Raises BulkStopped at the first that fails, and Interrupted
    after the transaction in which Ctrl-C came.
    """
    if not callable(progress):
        raise TypeError(f'{progress!r} cannot be called with the progress: give a function of a number')
    if isinstance(all_arguments, str | bytes) or not isinstance(all_arguments, Iterable):
        raise TypeError(f'{all_arguments!r} is not a list of arguments: give a tuple for each update')
    arguments = _Arguments(all_arguments)
    stored = 0
    size = AT_ONCE
    while share := arguments.next(size):
        said = _said(stored, label)
        try:
            with put_off() as late:
                done = run(_some(update, share), f'bulk {label}')
        except KeyboardInterrupt as error:
            raise Interrupted(f'{said}, and perhaps up to {len(share)} more') from error
        except (UpdateFailed, OutcomeUnknown, StateClosed) as error:  # not raised by `update`: that would be _Failed
            raise BulkStopped(stored, f'{said}, and then it stopped: {error}') from error
        except Exception as error:  # noqa: BLE001 -- chained, once it is alone
            size = error.place if isinstance(error, _Failed) else len(share) // 2  # until the one to blame is first
            if not size:
                own = error.error if isinstance(error, _Failed) else error
                raise BulkStopped(stored, f'{said}, and the next one failed: {own}') from own
            continue
        arguments.drop(done)
        stored += done
        progress(stored)
        if late.came:
            raise Interrupted(_said(stored, label))
    if arguments.error is not None:
        raise BulkStopped(
            stored, f'{_said(stored, label)}, and then the arguments could not be read: {arguments.error}'
        ) from arguments.error
    return stored


def _said(stored: int, label: str) -> str:
    return f'stored {count_of(stored, "update")} of {label}'


class _Arguments:
    """The arguments that are still to be stored, read as they are needed."""

    def __init__(self, arguments: Iterable[Arguments]) -> None:
        self._rest = iter(arguments)
        self._waiting: list[Arguments] = []
        #: What reading the next ones raised; those before are stored first.
        self.error: Exception | None = None

    def next(self, size: int) -> list[Arguments]:
        """The next ones, at most `size`; none at the end."""
        try:
            for arguments in islice(self._rest, AT_ONCE - len(self._waiting) if self.error is None else 0):
                self._waiting.append(_checked(arguments))
        except Exception as error:  # noqa: BLE001 -- the caller's own
            self.error = error
        return self._waiting[:size]

    def drop(self, count: int) -> None:
        del self._waiting[:count]


def _checked(arguments: object) -> Arguments:
    if not isinstance(arguments, tuple | list):
        raise TypeError(f'{arguments!r} is not a tuple: give a tuple for each update, as in (line, caller)')
    return tuple(arguments)


def _some(update: Callable[..., object], share: list[Arguments]) -> Callable[[Root], int]:
    """As many of `share` as can be done before others have waited long enough; at least one."""

    def run(root: Root) -> int:
        end = time.monotonic() + LONGEST
        for place, arguments in enumerate(share):
            try:
                update(root, *arguments)
            except TransientError:  # a load may succeed the next time
                raise
            except Exception as error:  # noqa: BLE001 -- the update's error, of any type
                raise _Failed(place, error) from None
            if time.monotonic() > end:
                return place + 1
        return len(share)

    return run
