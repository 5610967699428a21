"""A server of the database that dies again and again, at a moment of its own choice, and is there again at once."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hitcounter.state import open_database
from hitcounter.state.storage import file
from tests.support.patience import PATIENCE

#: Where a server may die: in a commit, or anywhere.
FATES = ('before the vote', 'after the vote', 'before it is stored', 'after it is stored', 'at any time')

NEVER = 'never'

READY = 'ready'
LIVES = 'it lives'


def main(uri: str, deaths: int, seed: int) -> None:
    """Say how each server died, then keep one alive until the end of standard input."""
    chance = random.Random(seed)
    for _ in range(deaths):
        fate = chance.choice(FATES)
        child = _fork(uri, fate, chance.randint(1, 12), chance.uniform(0.001, 0.1))
        os.waitpid(child, 0)
        _say(fate)
    child = _fork(uri, NEVER, 0, 0)
    sys.stdin.read()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _say(word: str) -> None:
    sys.stdout.write(f'{word}\n')
    sys.stdout.flush()


def _fork(uri: str, fate: str, commits: int, seconds: float) -> int:
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        file.GuardedFile = _doomed(file.GuardedFile, fate, commits, seconds)  # type: ignore[attr-defined]  # what the module imports is replaced
        open_database(uri, share=True)
        _say(READY)
        if fate == NEVER:
            _say(LIVES)
        signal.pause()
    return child


def _doomed(storage: Any, fate: str, commits: int, seconds: float) -> Any:
    left = iter(range(commits - 1, -1, -1))

    def die(moment: str) -> None:
        if fate == moment and next(left) == 0:
            os._exit(1)

    class Doomed(storage):  # type: ignore[misc]  # a class that is given
        def tpc_begin(self, *arguments: Any) -> None:
            if fate == 'at any time':
                threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
            super().tpc_begin(*arguments)

        def tpc_vote(self, transaction: Any) -> Any:
            die('before the vote')
            resolved = super().tpc_vote(transaction)
            die('after the vote')
            return resolved

        def tpc_finish(self, *arguments: Any) -> bytes:
            die('before it is stored')
            tid: bytes = super().tpc_finish(*arguments)
            die('after it is stored')
            return tid

    return Doomed


class CrashingServer:
    """The servers of the database at `path`, in processes of their own."""

    def __init__(self, path: Path, deaths: int, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, f'file:{path}', str(deaths), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == f'{READY}\n'

    def fates(self) -> Iterator[str]:
        """How each died, until one lives."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line == f'{LIVES}\n':
                return
            if line != f'{READY}\n':
                yield line.strip()
        raise AssertionError('the servers are gone')

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE)


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
