"""The request: what follows the host in `agi://host/path?query`, decoded, here alone. Asterisk decodes none of it.

Percent escapes stand for bytes of UTF-8. What is no escape stays as it is, and bytes that are no UTF-8 become
surrogate escapes, as in an environment. A `#` is a character like others, for it is a telephone's key.
"""

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, unquote


def path_of(network_script: str) -> str:
    """The path, not yet decoded, without the slashes around it: '' for `agi://host` and `agi://host/`."""
    return network_script.partition('?')[0].strip('/')


def segments_of(path: str) -> tuple[str, ...]:
    """What stands between the slashes of `path`, decoded only then: `%2F` does not divide. `..` means nothing."""
    if not path:
        return ()
    segments = path.split('/')
    if '%' in path:
        segments = [unquote(segment, errors='surrogateescape') for segment in segments]
    return tuple(segments)


def query_of(network_script: str) -> Mapping[str, tuple[str, ...]]:
    """Each name of the query with its values, in their order; `flag` and `flag=` have the value ''. `+` is a blank."""
    fields = parse_qs(network_script.partition('?')[2], keep_blank_values=True, errors='surrogateescape')
    return MappingProxyType({name: tuple(values) for name, values in fields.items()})
