"""How the commands log: lines on standard error."""

import logging

#: Libraries whose own account of themselves is for those who look for a fault.
_TALKATIVE = ('ZEO', 'ZODB', 'asyncio', 'txn')


def set_up(level: str) -> None:
    """Log what is `level` or worse."""
    # Nobody reads these, and to find them out costs more than to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), format='%(asctime)s %(levelname)s %(message)s')
    if level != 'debug':
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
