"""Real Asterisk, recorded: a new recording is read as those in tests/transcripts are, and says the same."""

from pathlib import Path

from tests.support.asterisk.record import record
from tests.support.asterisk.telephony import Asterisk
from tests.support.places import TRANSCRIPTS
from tests.support.recordings import Exchange, recordings_in

COMMANDS = ('ANSWER', 'NOOP', 'SAY NUMBER abc ""')


def test_what_is_recorded_is_what_was_recorded_before(asterisk: Asterisk, tmp_path: Path) -> None:
    transcript = tmp_path / 'new.txt'
    transcript.write_text('\n'.join(record(asterisk, COMMANDS)) + '\n', errors='surrogateescape')

    (recording,) = recordings_in(transcript)

    environment, *exchanges = recording.exchanges
    assert environment.replies.startswith(b'agi_network: yes\n')
    assert [exchange.sent for exchange in exchanges] == [[command.encode()] for command in COMMANDS]
    assert exchanges[0] == Exchange([b'ANSWER'], b'200 result=0\n')
    (known,) = (
        exchange.replies
        for recording in recordings_in(TRANSCRIPTS / 'cmd-say-number.txt')
        for exchange in recording.exchanges
        if exchange.sent == [b'SAY NUMBER abc ""']
    )
    assert exchanges[2].replies == known
