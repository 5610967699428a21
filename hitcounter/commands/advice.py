"""Advice: what a user of the commands can do about an error. The messages of the library itself name no commands."""

from ..errors import (
    RESTORE,
    ClockAhead,
    CodeMissing,
    ComponentMisplaced,
    DatabaseDamaged,
    DatabaseMissing,
    DatabaseOutdated,
    ForeignDatabase,
    HitcounterError,
    PackMetDamage,
)

_ADVICE: dict[type[HitcounterError], str] = {
    ClockAhead: 'check the clock; "hitcounter pack --pack-keep 0d" packs it now',
    DatabaseMissing: 'start hitcounter-serve, which creates it',
    DatabaseOutdated: 'run "hitcounter migrate" (try --status and --dry-run first)',
    PackMetDamage: '"hitcounter verify" lists the damage',
}


def advised(error: HitcounterError) -> str:
    """The message of `error`, followed by what to do."""
    match error:
        case DatabaseDamaged():
            return with_restore(str(error))
        case CodeMissing():
            return f'{error} ("hitcounter migrate --drop {error.component}")'
        case ComponentMisplaced():
            return f'{error} (--storage-of {error.component}=URI, "hitcounter move {error.component} URI")'
        case ForeignDatabase(owner=str(owner)):
            run_as = '' if owner.isdecimal() else f' (runuser -u {owner} -- COMMAND)'
            return f'{error}: run this as {owner}{run_as}, or, if you trust that user, add --trust-owner {owner}'
    advice = next((_ADVICE[kind] for kind in type(error).__mro__ if kind in _ADVICE), '')
    return f'{error}: {advice}' if advice else str(error)


def with_restore(text: str) -> str:
    """`text` with the command that restores a backup, where it says to do that."""
    return text.replace(RESTORE, f'{RESTORE} ("hitcounter restore BACKUP_FOLDER")')
