"""The identity of a caller: one spelling for each number, and none for what stands in for a number.

Pure: nothing here reads a clock or a database. A caller ID is what the other side chose to send; nothing here makes it
more trustworthy than that.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import RulesRefused

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

#: What carriers, gateways and phone systems send in place of a number, in any case: the user parts of RFC 3323
#: (`anonymous`) and of 3GPP TS 23.003 (`unavailable`); `asterisk`, which chan_sip and res_pjsip send for a call without
#: a caller ID; and words that gateways have of their own.
STAND_INS = frozenset(
    ('anonymous', 'unknown', 'restricted', 'unavailable', 'private', 'withheld', 'blocked', 'asterisk')
)

#: The same words as the keys of a telephone spell them, which Twilio sends: ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and
#: UNAVAILABLE. None is a number that exists; +1 737 874 2833, which some take for one of these, does.
_SPELLED = frozenset(('+266696687', '+7378742833', '+2562533', '+8656696', '+86282452253'))

_is_zeros = re.compile(r'\+?0+').fullmatch

#: Digits of a keyed hash. 128 bits are enough: among a million callers of a round, two have the same one with a
#: probability of 1 in 10**27; and the shorter the key, the more fit into a bucket of an index.
_KEYED = 32

#: What may be a number. Letters are not taken for the digits of their keys, which would make one caller of two names.
_is_number_like = re.compile(r'[ \t]*\+?[0-9 ()./\t-]{1,60}').fullmatch

#: Numbers that phonenumbers gives back unchanged: no national prefix can be in them. In the countries that are left
#: out, and where a 0 follows the country's code, it has to look.
_is_plain = re.compile(
    r'\+(?:1[2-9][0-9]{9}|(?!1|7|54|61|86|298|352|37[058]|423|4418|506|672|692|993)[1-9]{4}[0-9]{3,11})'
).fullmatch

#: Normal forms that are remembered. Texts of more than 80 characters are not, as they are not number-like.
_REMEMBERED = 4096


@dataclass(frozen=True)
class SameCaller:
    """One caller, to be compared with others: `SameCaller('089 1234567', 'DE').is_('+49891234567')` is true."""

    #: Not a stand-in: those who withhold their number are not one caller.
    number: str
    #: The country of `number`, and of all lines that do not name one; '' if there is none.
    country: str = ''
    #: The countries of lines that have one.
    countries: Mapping[str, str] = field(default_factory=dict)

    def is_(self, number: str | None, line: str = '') -> bool:
        """Whether `number`, as it was sent to `line`, is this caller's."""
        if number is None:
            return False
        country = self.countries.get(line, '')
        return number == self.number or normal_form(number, country or self.country) == self.form(country)

    def form(self, country: str = '') -> str | None:
        """The normal form of this caller for a line in `country`."""
        return normal_form(self.number, self.country or country)

    def forms(self, country: str = '') -> frozenset[str]:
        """The normal forms that calls of this caller may have had on a line in `country`.

        Without a country each national spelling is a form of its own.
        """
        form = self.form(country)
        others = () if country or form is None else _other_spellings(form)
        return frozenset(filter(None, (self.number, form, *others)))


def normal_form(number: str | None, country: str = '') -> str | None:
    """The one spelling of a caller's number, `+49891234567`, by which calls are compared.

    None if there is none: no number was sent, as from a Local channel, or a stand-in for one. A number that was sent
    with the presentation *prohibited* is withheld as well, which is for who asks to know; one with *unavailable* was
    set by the dialplan, and is as good as any other.

    A national number, or one with the prefix for calls abroad, is made international by `country`, a code such as `DE`;
    without one, '', only what begins with + is a number. What is not a number, such as an extension or the name of a
    SIP account, is compared as it is. Bytes that are not UTF-8 may be in it, as surrogate escapes.
    """
    if number is None:
        return None
    if _is_plain(number):
        return number if number not in _SPELLED else None
    if is_stand_in(number):
        return None
    return _international(number, country) if _is_number_like(number) else number


def is_stand_in(number: str) -> bool:
    """Whether `number` is what is sent in place of a number: `Anonymous`, `unavailable@unknown.invalid`, '', `000`."""
    text = number.strip().lower()
    name, at, host = text.partition('@')
    if at and host.endswith('.invalid'):
        text = name
    return not text or text in STAND_INS or text in _SPELLED or _is_zeros(text) is not None


def check_country(code: str) -> None:
    """Raise RulesRefused unless `code` is that of a country with national numbers, or '' for none."""
    if not code:
        return
    from phonenumbers import SUPPORTED_REGIONS  # here, since few lines need it

    if code not in SUPPORTED_REGIONS:
        raise RulesRefused(
            f'country {code!r} is not the code of a country that has national numbers: write two capital letters, '
            f'as in DE or GB'
        )


def keyed(key: bytes, form: str) -> str:
    """The keyed hash, HMAC-SHA256, to be stored in place of a normal form: 32 hexadecimal digits.

    Without the key nobody can tell which number it is of. With it anybody can, by trying all numbers: there are few.
    """
    return hmac.digest(key, form.encode('utf-8', 'surrogateescape'), 'sha256').hex()[:_KEYED]


def masked(number: str) -> str:
    """A caller's number as it may be shown to many: its last three digits; of fewer than six digits, none."""
    digits = ''.join(filter(str.isdecimal, number))
    return f'...{digits[-3:]}' if len(digits) >= 6 else '...'


def _other_spellings(form: str) -> tuple[str, ...]:
    """How else carriers send the number whose form is `form`; 00 and 011 are the usual prefixes for calls abroad."""
    import phonenumbers  # here, as elsewhere

    try:
        parsed = phonenumbers.parse(form, None)
    except phonenumbers.NumberParseException:
        return ()
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = form.removeprefix('+')
    return digits, f'00{digits}', f'011{digits}', re.sub('[^0-9]', '', national)


@lru_cache(_REMEMBERED)
def _international(number: str, country: str) -> str:
    """`number` made international; as it is where that cannot be done."""
    import phonenumbers  # here, since it takes 16 ms and some memory, and most callers are sent in full

    try:
        parsed = phonenumbers.parse(number, country or None, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        return number
    if _is_written_in_full(number, parsed) or phonenumbers.is_valid_number(parsed):
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number


def _is_written_in_full(number: str, parsed: 'PhoneNumber') -> bool:
    """Whether `number` has the prefix of a national or an international number: ranges are given out now and then.

    Without one, an extension such as 1001 would be a number, too.
    """
    from phonenumbers import CountryCodeSource, is_possible_number, national_significant_number

    if parsed.country_code_source in (
        CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN,
        CountryCodeSource.FROM_NUMBER_WITH_IDD,
    ):
        return True
    has_prefix = len(national_significant_number(parsed)) < sum(map(str.isdecimal, number))
    return (
        parsed.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY
        and has_prefix
        and is_possible_number(parsed)
    )
