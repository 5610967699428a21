"""What follows the host in a dialplan's address, decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitcounter.agi.protocol.environment import Environment
from hitcounter.agi.protocol.request import path_of, query_of, segments_of
from tests.support.places import TRANSCRIPTS


def network_script_of(transcript: str) -> str:
    """The network script that a real Asterisk sent in a recorded session."""
    lines = (TRANSCRIPTS / transcript).read_bytes().split(b'\n')
    block, _, _ = b'\n'.join(line[2:] for line in lines if line[:2] == b'< ').partition(b'\n\n')
    return Environment.parse(block + b'\n\n').script


@pytest.mark.parametrize(
    ('transcript', 'segments', 'query'),
    [
        ('env-uri-bare.txt', (), {}),
        ('env-uri-slash.txt', (), {}),
        ('env-uri-slashes.txt', ('a', '', 'b'), {}),
        ('env-uri-space.txt', ('a b', 'é'), {'q': ('a b',)}),
        ('env-uri-upper.txt', ('upper',), {}),
        ('env-path-query-args.txt', ('hitcounter',), {'line': ('1',)}),
        (
            'env-uri-query.txt',
            ('a b', 'é'),
            {'x': ('1', '2'), 'y': ('a b',), 'z': ('&',), 'empty': ('',), 'flag#frag': ('',)},
        ),
    ],
)
def test_what_asterisk_sends_is_decoded(
    transcript: str, segments: tuple[str, ...], query: dict[str, tuple[str, ...]]
) -> None:
    network_script = network_script_of(transcript)
    assert segments_of(path_of(network_script)) == segments
    assert query_of(network_script) == query


@pytest.mark.parametrize(
    ('path', 'segments'),
    [
        ('', ()),
        ('vote/31415', ('vote', '31415')),
        ('vote/*31#', ('vote', '*31#')),
        ('vote/+44', ('vote', '+44')),
        ('vote/..', ('vote', '..')),
        ('vote/a%2Fb', ('vote', 'a/b')),
        ('vote/%2E%2e%2F', ('vote', '../')),
        ('vote/%252F', ('vote', '%2F')),
        ('vote/100%', ('vote', '100%')),
        ('vote/%zz%4', ('vote', '%zz%4')),
        ('vote/%C3%A9%00%0A', ('vote', 'é\0\n')),
        ('vote/%ff\udcff', ('vote', '\udcff\udcff')),
    ],
)
def test_a_path_is_divided_and_then_decoded(path: str, segments: tuple[str, ...]) -> None:
    assert segments_of(path) == segments


@pytest.mark.parametrize(
    ('query', 'fields'),
    [
        ('', {}),
        ('a=1&a=2&flag&empty=', {'a': ('1', '2'), 'flag': ('',), 'empty': ('',)}),
        ('a=1=2&&b=?', {'a': ('1=2',), 'b': ('?',)}),
        ('a;b=%26%3D%2B+', {'a;b': ('&=+ ',)}),
        ('a=%2541', {'a': ('%41',)}),
        ('%61=%ff%&\udcff=1', {'a': ('\udcff%',), '\udcff': ('1',)}),
    ],
)
def test_a_query_is_names_and_their_values(query: str, fields: dict[str, tuple[str, ...]]) -> None:
    assert query_of(f'hits?{query}') == fields


@given(st.binary())
def test_no_bytes_break_the_decoding(sent: bytes) -> None:
    network_script = sent.decode('utf-8', 'surrogateescape')
    segments = segments_of(path_of(network_script))
    query = query_of(network_script)
    texts = (*segments, *query, *(value for values in query.values() for value in values))
    assert all(isinstance(text.encode('utf-8', 'surrogateescape'), bytes) for text in texts)
