"""Many updates at once, as of an import, between which other callers find their turn."""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from ..errors import BulkStopped, OutcomeUnknown, StateClosed, UpdateFailed
from .writer import Root

Arguments = tuple[Any, ...]

#: Updates in one transaction, at most.
AT_ONCE = 500

#: Seconds after which a transaction takes no more of them, so that nobody else waits long.
LONGEST = 0.01


def store(
    run: Callable[[Callable[[Root], int], str], int],
    update: Callable[..., object],
    label: str,
    all_arguments: Iterable[Arguments],
    progress: Callable[[int], object],
) -> int:
    """Run `update` with the root and each of `all_arguments`, in order, by `run`; how many were stored.

    `progress` is told that after each transaction. Raises BulkStopped at the first that fails.
    """
    if not callable(progress):
        raise TypeError(f'{progress!r} cannot be told of the progress: give a function of a number')
    if isinstance(all_arguments, str | bytes) or not isinstance(all_arguments, Iterable):
        raise TypeError(f'{all_arguments!r} is not a list of arguments: give a tuple for each update')
    rest = iter(all_arguments)
    stored = 0
    size = AT_ONCE
    waiting: list[Arguments] = []
    ended: Exception | None = None
    while True:
        try:
            for arguments in islice(rest, AT_ONCE - len(waiting)):
                waiting.append(_checked(arguments))
        except Exception as error:  # noqa: BLE001 -- the caller's own; what came before it is stored first
            ended = error
        if not waiting and ended is not None:
            raise BulkStopped(
                stored, f'{stored} of {label} are stored, and then the arguments could not be read: {ended}') from ended
        if not waiting:
            return stored
        share = waiting[:size]
        try:
            done = run(_some(update, share), f'bulk {label}')
        except (UpdateFailed, OutcomeUnknown, StateClosed) as error:
            raise BulkStopped(stored, f'{stored} of {label} are stored, and then it stopped: {error}') from error
        except Exception as error:
            if len(share) == 1:
                raise BulkStopped(
                    stored, f'{stored} of {label} are stored, and the next one failed: {error}') from error
            size = len(share) // 2  # until the one that fails is alone
            continue
        del waiting[:done]
        stored += done
        progress(stored)


def _checked(arguments: object) -> Arguments:
    if not isinstance(arguments, tuple | list):
        raise TypeError(f'{arguments!r} is not a tuple: give a tuple for each update, as in (line, caller)')
    return tuple(arguments)


def _some(update: Callable[..., object], share: list[Arguments]) -> Callable[[Root], int]:
    """As many of `share` as can be done before others have waited long enough; at least one."""

    def run(root: Root) -> int:
        end = time.monotonic() + LONGEST
        for done, arguments in enumerate(share, start=1):
            update(root, *arguments)
            if time.monotonic() > end:
                return done
        return len(share)

    return run
