"""Notes in the database itself of what was last done to it: the comment on RelStorage's table of objects."""

import json
from contextlib import closing
from dataclasses import asdict
from typing import Any

from ..kind import S
from ..stamps import Stamp

#: What asks for the notes.
STAMPS = "select obj_description(to_regclass('object_state'), 'pg_class')"


#: The name of the note that the database is being filled.
_FILLING = '.copying'


def is_filling(notes: str | None) -> bool:
    """Whether the notes say that the database is being filled, or that this was interrupted."""
    return _FILLING in _others(notes)


def note_filling(session: Any, is_filling: bool) -> None:
    """Note that the database is being filled, or that it is whole."""
    _change(session, {_FILLING: True} if is_filling else {}, _FILLING)


def stored(notes: str | None, kind: type[S]) -> S | None:
    """The stamp of that kind in the text of the notes; None if there is none that can be read."""
    try:
        return kind(**json.loads(notes or '{}')[kind.SUFFIX])
    except (KeyError, TypeError, ValueError):  # it has none, or the comment is somebody else's
        return None


def note(session: Any, stamp: Stamp) -> None:
    """Note `stamp` in place of an earlier one of its kind."""
    _change(session, {stamp.SUFFIX: asdict(stamp)}, stamp.SUFFIX)


def _change(session: Any, notes: dict[str, Any], name: str) -> None:
    with closing(session.cursor()) as cursor:
        cursor.execute(STAMPS)
        others = _others(cursor.fetchone()[0])
        others.pop(name, None)
        notes = {**others, **notes}
        cursor.execute('comment on table object_state is %s', (json.dumps(notes),))
    session.commit()


def _others(notes: str | None) -> dict[str, Any]:
    try:
        return dict(json.loads(notes or '{}'))
    except (TypeError, ValueError):
        return {}
