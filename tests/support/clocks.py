"""A server whose clock is wrong: libfaketime answers it when it asks for the time."""

import os
from pathlib import Path

import pytest


class Clock:
    """The clock of a server that `inside` runs. It is right at first."""

    def __init__(self, folder: Path) -> None:
        library = next(Path('/usr/lib').glob('*/faketime/libfaketimeMT.so.1'), None)
        if library is None:
            pytest.skip('needs libfaketime: apt-get install libfaketime')
        self.folder = folder
        self._file = folder / 'clock'
        self.put_ahead(0)
        #: The command that runs another one, with this clock; only the date and the time of day are wrong.
        self.inside = (
            'env',
            f'LD_PRELOAD={library}',
            f'FAKETIME_TIMESTAMP_FILE={self._file}',
            'FAKETIME_NO_CACHE=1',
            'FAKETIME_DONT_FAKE_MONOTONIC=1',
        )

    def put_ahead(self, seconds: float) -> None:
        """From now on it is so much ahead, or behind if that is negative."""
        new = self._file.with_suffix('.new')
        new.write_text(f'{seconds:+g}')
        new.chmod(0o644)
        os.replace(new, self._file)
