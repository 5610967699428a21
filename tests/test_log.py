"""The log of the commands."""

import io
import logging

from hitcounter.log import GatheringHandler


def log(handler: GatheringHandler, *messages: str) -> None:
    for message in messages:
        handler.handle(logging.LogRecord('test', logging.INFO, __file__, 1, message, None, None))


def test_lines_are_written_in_order_and_all_of_them_at_the_close() -> None:
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    log(handler, 'one', 'two', 'three')
    handler.close()
    assert stream.getvalue() == 'one\ntwo\nthree\n'
    assert not handler._thread.is_alive()


def test_a_full_disk_loses_lines_and_not_the_log() -> None:
    class Filling(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, 'No space left on device')
            return super().write(text)

    stream = Filling()
    handler = GatheringHandler(stream)
    log(handler, 'lost')
    handler.flush()
    stream.full = False
    log(handler, 'written')
    handler.close()
    assert stream.getvalue() == 'written\n'


def test_a_line_that_cannot_be_made_is_no_error() -> None:
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    handler.handle(logging.LogRecord('test', logging.INFO, __file__, 1, '%d', ('no number',), None))
    log(handler, 'next')
    handler.close()
    assert stream.getvalue() == 'next\n'
