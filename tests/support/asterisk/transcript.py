"""The lines that a process writes, kept as they come, so that a test can wait for one."""

import re
import threading
import time
from typing import IO

from tests.support.patience import PATIENCE


class Transcript:
    """What was written to a stream so far. A thread reads the stream to its end."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name = name
        self._lines: list[str] = []  # the reader appends, under _more
        self._ended = False  # the same
        self._more = threading.Condition()
        self._stream = stream
        self._reader = threading.Thread(target=self._read, name=f'transcript of {name}', daemon=True)
        self._reader.start()

    def __len__(self) -> int:
        return len(self._lines)

    def wait(self, pattern: str, start: int = 0) -> re.Match[str]:
        """The first match of `pattern` in a line, from line `start` on, be it there or yet to come."""
        (match,) = self.wait_for(1, pattern, start)
        return match

    def wait_for(self, times: int, pattern: str, start: int = 0) -> list[re.Match[str]]:
        """The first so many matches of `pattern`, as `wait` finds one."""
        deadline = time.monotonic() + PATIENCE
        position = start
        found: list[re.Match[str]] = []
        while (line := self._line(position, deadline)) is not None:
            found.extend(filter(None, [re.search(pattern, line)]))
            if len(found) == times:
                return found
            position += 1
        when = 'before it ended' if self._ended else f'in {PATIENCE:.0f} seconds'
        raise AssertionError(f'{self.name} wrote {pattern!r} {len(found)} times of {times} {when}')

    def text(self, start: int = 0) -> str:
        """All that was written so far, from line `start` on."""
        return '\n'.join(self._lines[start:])

    def all(self, pattern: str) -> tuple[str, ...]:
        """The first group of each match of `pattern` in the lines so far."""
        return tuple(match[1] for line in list(self._lines) if (match := re.search(pattern, line)))

    def close(self) -> None:
        """Wait for the end of the stream, which its writer's end brings."""
        self._reader.join(PATIENCE)
        self._stream.close()

    def _line(self, position: int, deadline: float) -> str | None:
        with self._more:
            patience = deadline - time.monotonic()
            self._more.wait_for(lambda: self._ended or position < len(self._lines), patience)
            return self._lines[position] if position < len(self._lines) else None

    def _read(self) -> None:
        for line in self._stream:
            with self._more:
                self._lines.append(line.decode(errors='backslashreplace').rstrip('\n'))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()
