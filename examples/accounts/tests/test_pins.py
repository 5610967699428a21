"""PINs: what is refused, and what is stored in their place."""

import pytest
from accounts.errors import AccountRefused
from accounts.pins import DECOY, DIGEST, check_pin, digest, hash_new


@pytest.mark.parametrize('pin', ['', '471', '4711471147114', '47a1', '47 1', '47²1', '٤٧١١'])
def test_a_pin_is_four_to_twelve_digits_of_a_telephone(pin: str) -> None:
    with pytest.raises(AccountRefused, match='the PIN is not 4 to 12 digits: choose another'):
        check_pin(pin, '1234')


@pytest.mark.parametrize('pin', ['0000', '777777', '3456', '98765', '1357'])
def test_a_pin_is_not_one_that_anybody_would_try_first(pin: str) -> None:
    with pytest.raises(AccountRefused, match='anybody would try first') as refused:
        check_pin(pin, '1357')
    assert pin not in str(refused.value)


@pytest.mark.parametrize('pin', ['4711', '1243', '471147114711'])
def test_another_pin_is_accepted(pin: str) -> None:
    check_pin(pin, '1234')


def test_the_same_pin_has_another_hash_in_each_account() -> None:
    one, other = hash_new('4711'), hash_new('4711')

    assert one.salt != other.salt
    assert one.digest != other.digest
    assert one.digest == digest('4711', one.salt) != digest('4712', one.salt)
    assert len(one.digest) == DIGEST == len(digest('4711', DECOY))
