"""Finding a script."""

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from hitcounter.agi import Call, Script, script
from hitcounter.agi.script import Scripts
from hitcounter.errors import LostChange, NoSuchMethod, ReadOnly, ScriptError, StateError
from hitcounter.testing import Channel, connect, dial, place_call, serving


@script('greet')
def greet(name: str) -> str:
    """Greet."""
    return f'hello {name}'


@script('vote/{line}')
def vote(call: Call) -> None:
    """Vote."""


@script('vote/results')
def tell_results(call: Call) -> None:
    """Tell."""


def found(scripts: list[Script[..., object]], network_script: str) -> tuple[str | None, dict[str, str]]:
    """The path of the script that a network script finds, and its parameters."""
    script, parameters = Scripts(scripts).find(network_script)
    return script and script.path, dict(parameters)  # type: ignore[return-value]  # None or a path


def at(*paths: str) -> list[Script[..., object]]:
    """A script under each of these paths."""
    return [Script(path, vote.function) for path in paths]


def test_a_script_is_still_the_function_that_it_was() -> None:
    assert greet.path == 'greet'
    assert greet('you') == 'hello you'


def test_a_function_that_was_not_marked_is_no_script() -> None:
    with pytest.raises(ScriptError, match='is not a script: mark the function with @script'):
        Scripts([vote.function])  # type: ignore[list-item]  # that is the mistake


@pytest.mark.parametrize('asked', ['greet', 'greet?line=1', '/greet/', 'greet?a=1?b=2', 'gr%65et', '//greet'])
def test_a_script_is_found_by_its_path(asked: str) -> None:
    assert found([greet], asked) == ('greet', {})


@pytest.mark.parametrize('asked', ['', '/', '?line=1'])
def test_no_path_is_a_path_too(asked: str) -> None:
    assert found([Script('', greet.function)], asked) == ('', {})


@pytest.mark.parametrize('asked', ['', 'nosuch', 'greet/more', 'Greet', 'greet/..', 'nosuch/../greet', 'greet%2F'])
def test_other_paths_find_nothing(asked: str) -> None:
    assert found([greet], asked) == (None, {})


@pytest.mark.parametrize(
    ('asked', 'line'),
    [
        ('vote/31415', '31415'),
        ('vote/a b', 'a b'),
        ('vote/é?x=1', 'é'),
        ('vote/%C3%A9/', 'é'),
        ('vote/a%2Fb', 'a/b'),
        ('vote/a%252Fb', 'a%2Fb'),
        ('vote/..', '..'),
        ('vote/*31#', '*31#'),
        ('vote/%', '%'),
        ('vote/%FF', '\udcff'),
        ('vote/{line}', '{line}'),
    ],
)
def test_a_parameter_takes_one_segment_decoded(asked: str, line: str) -> None:
    assert found([vote], asked) == ('vote/{line}', {'line': line})


@pytest.mark.parametrize('asked', ['vote', 'vote/', 'vote//', '/vote//', 'vote/1/2', 'vote//1'])
def test_a_parameter_takes_no_empty_segment_and_no_more_than_one(asked: str) -> None:
    assert found([vote], asked) == (None, {})


def test_an_empty_segment_in_the_middle_is_none_either() -> None:
    assert found(at('vote/{line}/for'), 'vote//for') == (None, {})


def test_what_is_written_out_wins_over_a_parameter_whatever_the_order() -> None:
    for scripts in ([vote, tell_results], [tell_results, vote]):
        assert found(scripts, 'vote/results') == ('vote/results', {})
        assert found(scripts, 'vote/result') == ('vote/{line}', {'line': 'result'})


def test_what_is_written_out_first_wins_and_what_leads_nowhere_is_left() -> None:
    scripts = at('{a}/x', 'x/{b}', '{a}/{b}', 'x/y/z')
    assert found(scripts, 'x/x') == ('x/{b}', {'b': 'x'})
    assert found(scripts, 'y/x') == ('{a}/x', {'a': 'y'})
    assert found(scripts, 'y/z') == ('{a}/{b}', {'a': 'y', 'b': 'z'})
    assert found(scripts, 'x/y/x') == (None, {})


@pytest.mark.parametrize('other', ['vote/{line}', 'vote/{number}'])
def test_two_scripts_of_one_path_are_an_error_that_names_both(other: str) -> None:
    said = f"two scripts have the same path, 'vote/{{line}}' ({__name__}.vote) and '{other}' ({__name__}.tell_results)"
    with pytest.raises(ScriptError, match=re.escape(said)):
        Scripts([vote, Script(other, tell_results.function)])


@pytest.mark.parametrize(
    ('path', 'said'),
    [
        ('/', 'has an empty segment'),
        ('/vote', 'has an empty segment'),
        ('vote/', 'has an empty segment'),
        ('vote//now', 'has an empty segment'),
        ('vote/{}', "has the segment '{}': write a parameter as {line}, alone"),
        ('vote/{', "has the segment '{'"),
        ('vote/x{line}', "has the segment 'x{line}'"),
        ('vote/{the line}', "has the segment '{the line}'"),
        ('{a}/{a}', "has the parameter '{a}' twice"),
    ],
)
def test_a_path_that_no_call_can_ask_for_is_refused(path: str, said: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(said)):
        at(path)


def test_a_script_is_bound_to_all_but_its_call() -> None:
    def tell(call: Call, number: int, *, times: int = 1) -> int:
        return number * times

    call, _ = connect(Channel())
    bound = Script('tell', tell).bind(number=7, times=2)
    assert bound.path == 'tell'
    assert bound(call) == 14


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        ({}, "a call: missing a required argument: 'number'"),
        ({'number': 1, 'colour': 2}, "a call and number and colour: got an unexpected keyword argument 'colour'"),
    ],
)
def test_arguments_that_do_not_fit_are_said(arguments: dict[str, object], said: str) -> None:
    @script('tell')
    def tell(call: Call, number: int) -> None:
        """Tell."""

    with pytest.raises(ScriptError, match=rf"the script 'tell' \(.*\.tell\) cannot be run with {said}; bind"):
        tell.bind(**arguments)


def test_what_was_not_bound_is_not_served() -> None:
    @script('tell')
    def tell(call: Call, number: int) -> None:
        """Tell."""

    with pytest.raises(ScriptError, match='cannot be run with a call: missing'):
        Scripts([tell])


def test_a_call_has_its_query_and_its_arguments() -> None:
    call, _ = connect(Channel(url='agi://127.0.0.1/hits?a=1&a=2&flag&empty=', arguments=('x', '')))
    assert call.url_query == {'a': ('1', '2'), 'flag': ('',), 'empty': ('',)}
    assert call.environment.arguments == ('x', '')
    assert call.parameters == {}


async def asynchronous(call: Call) -> None:
    call.answer()


async def asynchronous_generator(call: Call) -> AsyncIterator[int]:
    yield 1


def generator(call: Call) -> Iterator[int]:
    call.answer()
    yield 1


class Asynchronous:
    async def __call__(self, call: Call) -> None:
        call.answer()


@pytest.mark.parametrize(
    ('function', 'kind'),
    [
        (asynchronous, 'an async function (asynchronous)'),
        (asynchronous_generator, 'an async generator function'),
        (generator, 'a generator function (generator)'),
        (functools.partial(functools.partial(generator)), 'a generator function'),
        (functools.cache(asynchronous), 'an async function'),
        (Asynchronous(), 'an async function'),
        (Asynchronous().__call__, 'an async function (Asynchronous.__call__)'),
    ],
)
def test_what_does_not_run_when_it_is_called_is_refused_where_it_is_defined(
    function: Callable[..., object], kind: str
) -> None:
    with pytest.raises(ScriptError, match=re.escape(f"the script 'greet' is {kind}")):
        script('greet')(function)


def undecorated(function: Callable[[Call], object]) -> Callable[[Call], object]:
    """A decorator that hides what it decorates."""

    @functools.wraps(function)
    def decorated(call: Call) -> object:
        return function(call)

    return decorated


@pytest.mark.parametrize('function', [asynchronous, asynchronous_generator, generator])
def test_what_a_decorator_hides_fails_its_call_and_its_test(
    function: Callable[[Call], object], caplog: pytest.LogCaptureFixture
) -> None:
    hidden = script('hidden')(undecorated(function))
    with serving([hidden]) as address:
        assert place_call(address, Channel(url='agi://127.0.0.1/hidden')).status == 'FAILURE'
    assert 'and did not run: make the decorated function a plain one' in caplog.text
    with pytest.raises(ScriptError, match='did not run'):
        dial(Channel(), hidden)


@pytest.mark.parametrize('error', [NoSuchMethod, ReadOnly, LostChange])
def test_an_error_of_the_author_that_the_state_notices_is_logged_with_the_line_of_the_script(
    error: type[StateError], caplog: pytest.LogCaptureFixture
) -> None:
    @script('wrong')
    def wrong(call: Call) -> None:
        raise error('no update of that name')

    with serving([wrong]) as address:
        assert place_call(address, Channel(url='agi://127.0.0.1/wrong')).status == 'FAILURE'
    assert "the script 'wrong' failed" in caplog.text
    assert f'{__file__}", line ' in caplog.text


@pytest.mark.parametrize(
    ('define', 'said'),
    [
        (lambda: script(generator), 'is not the path of a script: write it as in @script("hits")'),
        (lambda: script(5), '5 is not the path of a script'),
        (lambda: Script('greet', 5), "the script 'greet' cannot run 5: give it a function of the call"),
        (lambda: Scripts(greet), 'is not a list of scripts: give them as in [greet]'),
        (lambda: Scripts(greet.function), 'is not a list of scripts'),
        (lambda: Scripts(5), '5 is not a list of scripts'),
        (lambda: Scripts('greet'), "'greet' is not a list of scripts"),
    ],
)
def test_a_wrong_type_is_said_in_a_sentence(define: Callable[[], object], said: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(said)):
        define()
