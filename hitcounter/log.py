"""How the commands log: lines on standard error."""

import logging


def set_up(level: str) -> None:
    """Log what is `level` or worse."""
    # Nobody reads these, and to find them out costs more than to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), format='%(asctime)s %(levelname)s %(message)s', force=True)
