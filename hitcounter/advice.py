"""What commands say to do about an error of the libraries, which name no commands."""

from .errors import ClockAhead, HitcounterError, PackMetDamage

_ADVICE: dict[type[HitcounterError], str] = {
    ClockAhead: 'see that the clock is right, and "hitcounter pack --pack-keep 0d" packs it now',
    PackMetDamage: '"hitcounter verify" lists what is damaged',
}


def advised(error: HitcounterError) -> str:
    """The message of `error`, and what to do."""
    advice = next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), '')
    return f'{error}: {advice}' if advice else str(error)
