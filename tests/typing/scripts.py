"""What a type checker finds out about scripts and their tests. It is checked by mypy, not run."""

from typing import assert_type

from hitcounter.agi import Call, Digits, Playback, Script, Server, script
from hitcounter.agi.ivr import ask
from hitcounter.hits import tell_the_number
from hitcounter.state import State
from hitcounter.testing import CallEvent, Channel, Played, SaidNumber, SimulatedCall, connect, dial, place_call, serving


@script('greet')
def greet(call: Call) -> None:
    assert_type(call.get_variable('NAME'), str | None)
    assert_type(call.environment.extension, str)
    assert_type(call.stream_file('hello'), Playback)
    assert_type(call.get_data('number'), Digits)
    assert_type(ask(call, 'number', digits=4), str | None)


@script('count/{line}')
def count(call: Call, state: State, prompts: int = 1) -> int:
    return prompts


def scripts(state: State) -> None:
    named: Script[[Call], None] = greet
    assert_type(named.bind(), Script[[Call], None])
    assert_type(count.bind(state=state), Script[[Call], int])
    assert_type(tell_the_number.bind(state=state), Script[[Call], None])
    assert_type(count.path, str)
    with Server([greet, count.bind(state=state)]) as server:
        assert_type(server, Server)
        assert_type(server.address, tuple[str, int])


def tested(state: State) -> None:
    simulated = dial(Channel(digits='12'), greet)
    assert_type(simulated, SimulatedCall)
    assert_type(simulated.events, list[CallEvent])
    assert Played('hello') in simulated.events
    assert_type(dial(Channel(), lambda call: call.answer()), SimulatedCall)
    dial(Channel(), count.bind(state=state))
    assert_type(connect(Channel()), tuple[Call, SimulatedCall])
    with serving([greet]) as address:
        assert SaidNumber(1) in place_call(address, Channel()).events


def used_wrongly(state: State) -> None:
    script(greet)  # type: ignore[arg-type]
    count(None, state)  # type: ignore[arg-type]
    dial(Channel(), count)  # type: ignore[arg-type]
    dial(Channel(), 'greet')  # type: ignore[arg-type]
    Server(greet)  # type: ignore[arg-type]
    Server([greet], ports=1)  # type: ignore[call-arg]
    Channel(digit='1')  # type: ignore[call-arg]
    SaidNumber('1')  # type: ignore[arg-type]
