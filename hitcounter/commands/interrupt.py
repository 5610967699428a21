"""A Ctrl-C that nothing catches ends a command silently. Imported first, before anything that takes time."""

import os
import signal
import sys
from contextlib import suppress
from types import TracebackType

#: The exit status after Ctrl-C, as shells have it: 128 and the number of SIGINT.
INTERRUPTED = 130

_hook = sys.excepthook


def _end_quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Replaces the traceback, which would show whatever Python was importing."""
    if not issubclass(kind, KeyboardInterrupt):
        _hook(kind, error, trace)
        return
    with suppress(Exception):
        sys.stdout.flush()
    os._exit(INTERRUPTED)


sys.excepthook = _end_quietly
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the launchers have blocked it until now
