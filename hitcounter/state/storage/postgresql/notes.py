"""Notes in the database itself of what was last done to it: the comment on RelStorage's table of objects."""

import json
from contextlib import closing
from dataclasses import asdict
from typing import Any

from ..kind import S
from ..stamps import Stamp

#: What asks for the notes.
STAMPS = "select obj_description('object_state'::regclass, 'pg_class')"


def stored(notes: str | None, kind: type[S]) -> S | None:
    """The stamp of that kind in the text of the notes; None if there is none that can be read."""
    try:
        return kind(**json.loads(notes or '{}')[kind.SUFFIX])
    except (KeyError, TypeError, ValueError):  # it has none, or the comment is somebody else's
        return None


def note(session: Any, stamp: Stamp) -> None:
    """Note `stamp` in place of an earlier one of its kind."""
    with closing(session.cursor()) as cursor:
        cursor.execute(STAMPS)
        (before,) = cursor.fetchone()
        notes = {**_others(before), stamp.SUFFIX: asdict(stamp)}
        cursor.execute('comment on table object_state is %s', (json.dumps(notes),))
    session.commit()


def _others(notes: str | None) -> dict[str, Any]:
    try:
        return dict(json.loads(notes or '{}'))
    except (TypeError, ValueError):
        return {}
