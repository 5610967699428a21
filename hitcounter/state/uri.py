"""URIs as they may be shown: with their passwords masked."""

import re
from urllib.parse import unquote

_HIDDEN = '***'

#: After the slashes, or after a scheme without them, up to the last @: USER:PASSWORD, or all of what may be one.
_LOG_IN = re.compile(r'((?<=//)[^:/?@]*:|^[^:/?]*:(?!//))(.*)(?=@)')

#: An option whose name says that its value is secret, as in ?password=X or "dbname=hits password=X".
_OPTION = re.compile(r'([^=&;?\s]+)=([^&;\s]*)')

_IS_SECRET = re.compile(r'pass|pwd|secret|token|key|credential|auth|dsn', re.IGNORECASE)


def public(uri: str) -> str:
    """`uri` with asterisks in place of each password."""
    return _OPTION.sub(_hide_option, uri if uri.startswith('file:') else _LOG_IN.sub(rf'\1{_HIDDEN}', uri))


def without_secrets(text: str, uri: str) -> str:
    """`text`, such as an error about `uri`, with asterisks in place of the passwords of `uri`."""
    text = text.replace(uri, public(uri))
    for secret in _secrets(uri):
        text = re.sub(rf'(?<!\w){re.escape(secret)}(?!\w)', _HIDDEN, text)
    return text


def _hide_option(option: re.Match[str]) -> str:
    return f'{option[1]}={_HIDDEN}' if _IS_SECRET.search(unquote(option[1])) else option[0]


def _secrets(uri: str) -> set[str]:
    found = {option[2] for option in _OPTION.finditer(uri) if _hide_option(option) != option[0]}
    if not uri.startswith('file:'):  # a path may hold an @
        found |= {login[2] for login in _LOG_IN.finditer(uri)}
    return {form for secret in found if secret for form in (secret, unquote(secret))}
