"""The request: what follows the host in `agi://host/path?query`. It is decoded only here; Asterisk does not decode it.

Percent escapes stand for bytes of UTF-8. Anything else stays as it is, and bytes that are not UTF-8 become
surrogate escapes, as in an environment. `#` is an ordinary character, because it is a telephone key.
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, unquote


def path_of(network_script: str) -> str:
    """The path, not yet decoded, without the slashes around it: '' for `agi://host` and `agi://host/`."""
    return network_script.partition('?')[0].strip('/')


def segments_of(path: str) -> tuple[str, ...]:
    """The segments of `path`, decoded after splitting: `%2F` does not separate. `..` has no special meaning."""
    if not path:
        return ()
    segments = path.split('/')
    if '%' in path:
        segments = [unquote(segment, errors='surrogateescape') for segment in segments]
    return tuple(segments)


def query_of(network_script: str) -> Mapping[str, tuple[str, ...]]:
    """Each name of the query with its values, in order; `flag` and `flag=` have the value ''. `+` is a space."""
    fields = parse_qs(network_script.partition('?')[2], keep_blank_values=True, errors='surrogateescape')
    return MappingProxyType({name: tuple(values) for name, values in fields.items()})
