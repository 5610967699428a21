"""What the log of the server says of a caller."""

import logging

import pytest

from hitcounter.agi import Call
from hitcounter.errors import UpdateFailed
from hitcounter.simulator import Channel, place_call
from tests.support.serving import Handler, lose, say_one, serving

SECRETS = {
    'url': 'agi://127.0.0.1/hits?from=55501',
    'name': 'SIP/55502-0000',
    'caller_id': '55503',
    'caller_name': '55504',
    'rdnis': '55505',
    'account_code': '55506',
    'arguments': ('55507',),
}


def say_refused(call: Call) -> None:
    """Fails with errors whose messages show who called, one after the other."""
    try:
        raise ValueError(f'{call.environment.caller_id} {call.environment!r}')
    except ValueError:
        call.say_number(call.environment.caller_name)  # type: ignore[arg-type]


def raise_for_itself(call: Call) -> None:
    error = KeyError(call.environment.caller_id)
    raise error from error


def fail_in_the_state(call: Call) -> None:
    raise UpdateFailed(f'{call.environment.caller_id} could not be stored')


@pytest.mark.parametrize(
    ('handler', 'said'),
    [
        (say_one, 'caller=withheld'),
        (say_refused, 'in say_refused'),
        (raise_for_itself, 'KeyError, whose message is not shown because it may identify the caller'),
        (fail_in_the_state, 'UpdateFailed, whose message'),
        (lose, 'lost (ProtocolError, whose message'),
    ],
)
def test_a_withheld_caller_is_in_no_log_however_the_call_ends(
    handler: Handler, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(handler) as server:
        place_call(server.address, Channel(presentation=35, unique_id='17.1', **SECRETS))  # type: ignore[arg-type]
    assert '555' not in caplog.text
    assert said in caplog.text
    assert ' line=31415 caller=withheld ' in caplog.text


def test_a_withheld_caller_who_asks_for_no_script_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving() as server:
        url = 'agi://127.0.0.1/nosuch/55501'
        assert place_call(server.address, Channel(url=url, presentation=35)).status == 'FAILURE'
    assert '555' not in caplog.text
    assert (
        'failed (there is no script of its path, which is not shown because it may identify the caller)' in caplog.text
    )


@pytest.mark.parametrize(('keep', 'presentation'), [(True, 35), (False, 0), (False, 67)])
def test_a_caller_who_is_not_withheld_or_may_be_known_is_logged(
    keep: bool, presentation: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told: list[tuple[bool, str | None]] = []

    def tell(call: Call) -> None:
        told.append((call.caller_withheld, call.environment.caller_id))

    with serving(tell, keep_withheld=keep) as server:
        place_call(server.address, Channel(caller_id='555', presentation=presentation, unique_id='17.1'))
    assert told == [(False, '555')]
    assert ' line=31415 caller=555 ' in caplog.text


def test_a_long_caller_id_and_extension_are_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as server:
        place_call(server.address, Channel(caller_id='5' * 20_000, extension='9' * 20_000))
    (line,) = caplog.messages
    assert len(line) < 300
