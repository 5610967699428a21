"""A process that is killed at one step after the other of a pack: at each that the system can see.

    killing.py PATH PACKS

PATH is a database, and PACKS says who packs: `ours`, or `ZODB's` own FileStorage. For each step, new files are made
in folders `PATH.1`, `PATH.2` and so on, as the one who was killed at that step left them; the last one was not killed.
Each gets a line on standard output: what came next when it was killed.
"""

import os
import shutil
import signal
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf

from hitcounter.state.storage.guarded import GuardedFile

_PACKERS = {'ours': GuardedFile, "ZODB's": FileStorage}

#: What changes files, and is not seen by Python's audit.
_UNSEEN = ('pwrite', 'fsync', 'ftruncate')


def main(path: str, packs: str) -> None:
    for step in range(1, 1000):
        folder = Path(f'{path}.{step}')
        folder.mkdir()
        for file in Path(path).parent.glob(f'{Path(path).name}*'):
            if file.is_file():
                shutil.copy(file, folder)
        child = os.fork()
        if child == 0:
            _die_at(step, partial(_pack, _PACKERS[packs], str(folder / Path(path).name)))
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return


def _pack(storage: Any, path: str) -> None:
    with closing(storage(path)) as packed:
        _Steps.counting = True
        packed.pack(time.time(), referencesf)
        _Steps.counting = False


class _Steps:
    counting = False


def _die_at(last: int, work: Any) -> None:
    left = iter(range(last - 1, -1, -1))

    def step(event: str, arguments: Any) -> None:
        if _Steps.counting and event.partition('.')[0] in ('open', 'os', 'unseen') and next(left) == 0:
            _Steps.counting = False
            sys.stdout.write(f'{event} {arguments}\n')
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    for name in _UNSEEN:
        setattr(os, name, _seen(getattr(os, name), f'unseen.{name}'))
    sys.addaudithook(step)
    work()
    sys.stdout.write('it lived\n')
    sys.stdout.flush()
    os._exit(0)


def _seen(function: Any, event: str) -> Any:
    def audited(*arguments: Any) -> Any:
        sys.audit(event, *arguments)
        return function(*arguments)

    return audited


if __name__ == '__main__':
    main(*sys.argv[1:])
