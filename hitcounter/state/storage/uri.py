"""URIs as text: as zodburi wants them, and as they may be shown, with their passwords masked."""

import re
from urllib.parse import unquote

_HIDDEN = '***'

#: What begins after the slashes, or after a scheme without them: USER:PASSWORD, or all of what may be one.
_LOG_IN = re.compile(r'((?<=//)[^:/?@]*:|^[^:/?]*:(?!//))(.*)', re.DOTALL)

#: An option: ?password=X or "dbname=hits password = X"; a value ends where the next one begins, not at a blank.
_OPTION = re.compile(r'(?<![^=&;?\s])([^=&;?\s]++)(\s*+=\s*+)(.*?)(?=&|[;\s][^=&;?\s]++\s*+=|$)', re.DOTALL)

_IS_SECRET = re.compile(r'pass|pa?s+wo?r?d|pwd|^pw$|secret|token|key|credential|auth|dsn', re.IGNORECASE)


def with_slashes(uri: str) -> str:
    """`uri` as zodburi wants it: memory:// and file://."""
    scheme, _, rest = uri.partition(':')
    return f'{scheme}://{rest.removeprefix("//")}'


def public(uri: str) -> str:
    """`uri` with asterisks in place of each password."""
    log_in, rest = _split(uri)
    return _OPTION.sub(_hide_option, _LOG_IN.sub(rf'\1{_HIDDEN}', log_in) + rest)


def without_secrets(text: str, uri: str) -> str:
    """`text`, such as an error about `uri`, with asterisks in place of the passwords of `uri`."""
    text = text.replace(uri, public(uri))
    for secret in _secrets(uri):
        text = re.sub(rf'(?<!\w){re.escape(secret)}(?!\w)', _HIDDEN, text)
    return text


def _split(uri: str) -> tuple[str, str]:
    """What may end with a password, up to the last @, and the rest; a path may hold an @."""
    log_in, at, rest = ('', '', uri) if uri.startswith('file:') else uri.rpartition('@')
    return log_in, at + rest


def _hide_option(option: re.Match[str]) -> str:
    return f'{option[1]}{option[2]}{_HIDDEN}' if _IS_SECRET.search(unquote(option[1])) else option[0]


def _secrets(uri: str) -> set[str]:
    found = {option[3] for option in _OPTION.finditer(uri) if _hide_option(option) != option[0]}
    found |= {login[2] for login in _LOG_IN.finditer(_split(uri)[0])}
    return {form for secret in found if secret for form in (secret, unquote(secret))}
