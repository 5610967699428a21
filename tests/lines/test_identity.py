"""The identity of a caller: all spellings of a number have one form, and what stands in for a number has none."""

import hmac

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumber, PhoneNumberFormat

from hitcounter.errors import RulesRefused
from hitcounter.lines.identity import SameCaller, check_country, is_stand_in, keyed, masked, normal_form

COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)

NUMBERS = st.sampled_from(
    [
        (country, number)
        for country in COUNTRIES
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
        if (number := phonenumbers.example_number_for_type(country, kind)) is not None
    ]
)

#: Texts as Asterisk sends them: any characters, and bytes that are not UTF-8.
TEXTS = st.binary(max_size=100).map(lambda sent: sent.decode('utf-8', 'surrogateescape')) | st.text(
    st.characters(codec='utf-8'), max_size=40
)


def international(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


@pytest.mark.parametrize(
    'spelling',
    [
        *('+49891234567', '0049891234567', '0891234567', '49891234567', '089 1234567', '089/123 45-67'),
        *('+49 (0)89 1234567', '+490891234567', '(089) 1234567', '+49-89-1234567', ' +49891234567 '),
    ],
)
def test_all_spellings_of_a_number_have_one_form(spelling: str) -> None:
    assert normal_form(spelling, 'DE') == '+49891234567'


@given(NUMBERS, st.sampled_from(COUNTRIES))
def test_a_number_from_any_country_has_one_form(number: tuple[str, PhoneNumber], elsewhere: str) -> None:
    country, parsed = number
    form = international(parsed)
    assert normal_form(form, elsewhere) == normal_form(form) == form
    assert normal_form(phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL), elsewhere) == form
    national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    assert normal_form(national, country) == form
    assert normal_form(''.join(filter(str.isdecimal, national)), country) == form
    there = PhoneMetadata.metadata_for_region(elsewhere)
    if there.country_code != parsed.country_code and there.international_prefix.isdecimal():  # else it names a carrier
        abroad = phonenumbers.format_out_of_country_calling_number(parsed, elsewhere).replace('~', '')
        assert normal_form(abroad, elsewhere) == form


@given(st.from_regex('[1-9][0-9]{0,15}', fullmatch=True))
@example('490891234567')
@example('78912345678')
@example('118005551212')
@example('36061234567')
@example('541115234567')
def test_what_begins_with_a_plus_has_the_form_that_phonenumbers_gives_it(digits: str) -> None:
    try:
        expected = international(phonenumbers.parse(f'+{digits}', None))
    except NumberParseException:
        expected = f'+{digits}'
    if not is_stand_in(f'+{digits}'):
        assert normal_form(f'+{digits}', 'DE') == expected


@given(NUMBERS)
def test_a_number_with_a_national_prefix_after_the_code_of_its_country_has_the_same_form(
    number: tuple[str, PhoneNumber],
) -> None:
    country, parsed = number
    prefix = PhoneMetadata.metadata_for_region(country).national_prefix or ''
    wrong = f'+{parsed.country_code}{prefix}{phonenumbers.national_significant_number(parsed)}'
    expected = international(phonenumbers.parse(wrong, None))
    assert normal_form(wrong, country) == expected


@pytest.mark.parametrize(
    'text',
    [
        *('1001', '31415', 'alice', 'alice1001', 'sip:alice@example.com', '0891234567x', '1-800-FLOWERS', '*31', '+'),
        *('++1', 'PJSIP/1001-0001', 'Ägypten', '\udcff\udcfe', '٠٨٩١٢٣٤٥٦٧', '+49891234567;ext=5', '0' * 61 + '1'),
    ],
)
def test_what_is_not_a_number_is_compared_as_it_is(text: str) -> None:
    assert normal_form(text, 'DE') == text


def test_without_a_country_only_what_begins_with_a_plus_is_a_number() -> None:
    assert [normal_form(number) for number in ('+49 89 1234567', '0049891234567', '0891234567')] == [
        '+49891234567',
        '0049891234567',
        '0891234567',
    ]


@given(TEXTS, st.sampled_from(['', *COUNTRIES]))
def test_any_text_has_a_form_or_stands_in_for_a_number(text: str, country: str) -> None:
    form = normal_form(text, country)
    assert (form is None) == is_stand_in(text)
    if form is not None:
        assert len(keyed(b'key', form)) == 32


@pytest.mark.parametrize(
    'number',
    [
        *('anonymous', 'Anonymous', 'ANONYMOUS', ' anonymous ', 'unknown', 'Unavailable', 'restricted', 'Private'),
        *('withheld', 'Blocked', 'asterisk', 'anonymous@anonymous.invalid', 'unavailable@unknown.invalid'),
        *('', ' ', '0', '0000000000', '+266696687', '+7378742833', '+2562533', '+8656696', '+86282452253'),
    ],
)
def test_what_is_sent_in_place_of_a_number_has_no_form(number: str) -> None:
    assert normal_form(number, 'DE') is None
    assert is_stand_in(number)


def test_no_number_has_no_form() -> None:
    assert normal_form(None, 'DE') is None


@pytest.mark.parametrize('real', ['+17378742833', '+12665551212', '+86282452253' + '1', 'anonymous1', 'a@b.invalid'])
def test_a_real_number_is_not_a_stand_in(real: str) -> None:
    assert not is_stand_in(real)


def test_each_country_has_a_code() -> None:
    for code in ('', *COUNTRIES):
        check_country(code)


@pytest.mark.parametrize('code', ['de', 'UK', 'Germany', 'D', '49', '001', ' DE', 'DE ', '\udcff'])
def test_a_wrong_country_is_refused_with_its_value(code: str) -> None:
    with pytest.raises(RulesRefused) as refused:
        check_country(code)
    assert repr(code) in str(refused.value)


def test_the_keyed_hash_is_an_hmac() -> None:
    expected = hmac.new(b'key', b'+49891234567', 'sha256').hexdigest()
    assert keyed(b'key', '+49891234567') == expected[:32]
    assert keyed(b'key', '\udcff\udcfe') == hmac.new(b'key', b'\xff\xfe', 'sha256').hexdigest()[:32]


@given(TEXTS, TEXTS, st.binary(min_size=1), st.binary(min_size=1))
def test_another_caller_or_another_key_is_another_hash(one: str, other: str, key: bytes, another: bytes) -> None:
    # HMAC pads keys with zeros, and the keys of rounds have one length.
    key, another = key.ljust(32, b'.')[:32], another.ljust(32, b'.')[:32]
    are_same = one.encode('utf-8', 'surrogateescape') == other.encode('utf-8', 'surrogateescape')
    assert (keyed(key, one) == keyed(key, other)) == are_same
    assert (keyed(key, one) == keyed(another, one)) == (key == another)


def test_a_caller_is_the_same_in_any_spelling() -> None:
    caller = SameCaller('089 1234567', 'DE')
    assert caller.is_('+49891234567')
    assert caller.is_('0049891234567')
    assert not caller.is_('+49891234568')
    assert not caller.is_('anonymous')
    assert not caller.is_(None)


def test_a_number_is_read_as_one_of_the_country_of_its_line() -> None:
    caller = SameCaller('089 1234567', 'DE', {'wien': 'AT', 'münchen': 'DE'})
    assert caller.is_('0891234567', 'münchen')
    assert not caller.is_('0891234567', 'wien')  # which would be in Austria
    assert caller.is_('0049891234567', 'wien')
    assert caller.is_('0891234567', 'any other')


def test_without_a_country_of_its_own_a_caller_has_that_of_the_line() -> None:
    caller = SameCaller('089 1234567', countries={'münchen': 'DE'})
    assert caller.is_('+49891234567', 'münchen')
    assert not caller.is_('+49891234567')
    assert caller.is_('089 1234567')  # the very same text
    assert (caller.form(), caller.form('DE')) == ('089 1234567', '+49891234567')


def test_without_a_country_each_national_spelling_is_a_form_of_its_own() -> None:
    caller = SameCaller('089 1234567', 'DE')
    assert caller.forms('DE') == {'089 1234567', '+49891234567'}
    assert caller.forms() == {
        *('089 1234567', '+49891234567', '49891234567', '0049891234567', '01149891234567', '0891234567')
    }
    assert SameCaller('alice').forms() == {'alice'}


@given(TEXTS, st.sampled_from(['', 'DE', 'US', 'IT']), st.sampled_from(['', 'DE', 'US', 'IT']))
def test_whatever_form_a_call_had_its_caller_is_found(number: str, country: str, line_country: str) -> None:
    caller = SameCaller(number, country)
    assert caller.is_(number)
    if not is_stand_in(number):
        assert normal_form(number, country or line_country) in caller.forms(line_country)


@pytest.mark.parametrize(
    ('number', 'shown'),
    [
        ('+49891234567', '...567'),
        ('0891 234-567', '...567'),
        ('123456', '...456'),
        ('12345', '...'),
        ('100', '...'),
        ('alice', '...'),
        ('', '...'),
    ],
)
def test_a_caller_is_masked_to_the_last_three_digits(number: str, shown: str) -> None:
    assert masked(number) == shown
