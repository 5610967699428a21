"""Verification: what is damaged is found where it can be."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf
from ZODB.utils import p64

from hitcounter.errors import ComponentError, DatabaseRefused
from hitcounter.state import Component, Journal, State, open_database, update
from hitcounter.state.storage.database import open_as_stored
from hitcounter.state.upkeep.verification import Finding, Verdict, findings
from tests.support.modules import Modules


class Diary(Component):
    """Keeps what it is told."""

    name = 'diary'

    def __init__(self) -> None:
        self.notes = Journal()
        self.extra = PersistentMapping()

    @update
    def note(self, text: str) -> None:
        self.notes.append((text,))

    def check(self) -> Iterator[str]:
        yield from self.notes.check()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'diary.fs'
    with open_database(f'file:{path}', share=True) as database, State(database, [Diary]) as state:
        for number in range(40):
            state[Diary].note(f'note {number}')
    return path


def found(path: Path) -> list[str]:
    return [finding.sentence for finding in verdicts(path)]


def verdicts(path: Path) -> list[Finding]:
    with open_as_stored(f'file:{path}') as database:
        return list(findings(database))


def replace(path: Path, old: bytes, new: bytes) -> None:
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def test_a_whole_database_has_nothing_to_find_also_while_it_is_open_to_others(path: Path) -> None:
    with open_database(f'file:{path}', share=True) as database:
        assert found(path) == []
        database.db.pack()
        assert found(path) == []


def test_a_class_that_is_missing_is_found(path: Path) -> None:
    replace(path, b'PersistentMapping', b'PersistentMapping'[::-1])
    name = 'persistent.mapping.gnippaMtnetsisreP'
    assert any(
        f'a {name}, needs the class {name}, which cannot be found (persistent.mapping has no ' in finding.sentence
        for finding in verdicts(path)
        if finding.verdict is Verdict.MISSING
    )


def test_a_pickle_that_cannot_be_read_is_found(path: Path) -> None:
    replace(path, b'}q', b'\xffq')
    assert any('cannot be loaded (' in finding for finding in found(path)), found(path)


def test_a_reference_to_nothing_is_found(path: Path) -> None:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        owner = next(oid for oid in storage._index if b'Diary' in storage.load(oid)[0])
        pickle = storage.load(owner)[0]
    reference = referencesf(pickle)[-1]
    replace(path, pickle, pickle.replace(reference, p64(0xABCDEF)))
    assert any(
        finding.startswith(f'object {int.from_bytes(owner, "big"):#x}, a ') and 'object 0xabcdef, which' in finding
        for finding in found(path)
    )


def test_a_damaged_record_header_is_found(path: Path) -> None:
    with closing(FileStorage(str(path), read_only=True)) as storage:
        position = storage._lookup_pos(storage.load(p64(1)) and p64(1))
    content = bytearray(path.read_bytes())
    content[position + 7] ^= 0x40  # another object's id
    path.write_bytes(content)
    said = found(path)
    assert any('cannot be read' in finding for finding in said)


def test_what_a_component_says_of_itself_is_found(path: Path) -> None:
    with (
        open_database(f'file:{path}', share=True) as database,
        State(database, [Diary]) as state,
    ):
        state.update(lambda parts: parts[Diary].notes._pieces.clear())
    assert found(path) == ['diary: record 1 is missing, although 40 have been appended']


def test_flipped_bits_are_found_where_anything_depends_on_them(path: Path) -> None:
    content = path.read_bytes()
    index = path.with_name('diary.fs.index')
    for position in range(len(content) // 2, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[position] ^= 0x04
        path.write_bytes(damaged)
        index.unlink(missing_ok=True)
        with suppress(DatabaseRefused):
            found(path)  # whatever it finds, it comes to an end


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match='is not a database yet'):
        found(tmp_path / 'nosuch.fs')


def test_another_storage_is_verified_as_well() -> None:
    with open_as_stored('memory:') as database:
        assert list(findings(database)) == []


STAMP = """
from enum import Enum
from typing import NamedTuple
from persistent import Persistent

class Color(Enum):
    RED = 'red'
    BLUE = 'blue'

class Size(NamedTuple):
    width: int

class Price:
    pass

class Seal(Persistent):
    pass

class Shade(Enum):
    DARK = 'dark'
    LIGHT = 'light'

    def __reduce_ex__(self, _):  # as Enum itself does in some versions of Python
        return getattr, (Shade, self.name)

class Stamp(Persistent):
    def __init__(self):
        self.price = Price()
        self.color = Color.BLUE
        self.size = Size(3)
        self.seal = Seal()
        self.shade = Shade.DARK
"""


@pytest.fixture
def stamped(path: Path, modules: Modules) -> Modules:
    """Has stored an object of the module `stamps` in the database."""
    stamp = modules.write('stamps', STAMP).Stamp()
    with (
        open_database(f'file:{path}', share=True) as database,
        State(database, [Diary]) as state,
    ):
        state.update(lambda parts: parts[Diary].extra.update(stamp=stamp))
    return modules


@pytest.mark.parametrize(
    ('spoil', 'verdict', 'said'),
    [
        (
            lambda modules: modules.remove('stamps'),
            Verdict.MISSING,
            "needs the class stamps.Stamp, which cannot be found (ModuleNotFoundError: No module named 'stamps')",
        ),
        (
            lambda modules: modules.write('stamps', STAMP.replace('class Price', 'class Cost')),
            Verdict.MISSING,
            'needs the class stamps.Price, which cannot be found (stamps has no Price)',
        ),
        (
            lambda modules: modules.spoil('stamps', 'import nosuch'),
            Verdict.MISSING,
            "needs the class stamps.Stamp, which cannot be found (ModuleNotFoundError: No module named 'nosuch', in ",
        ),
        (
            lambda modules: modules.spoil('stamps', '\n1 / 0\n'),
            Verdict.FAILING,
            'cannot be loaded, because its code fails (ZeroDivisionError: division by zero, in ',
        ),
        (
            lambda modules: modules.spoil('stamps', 'class Stamp(:'),
            Verdict.FAILING,
            'cannot be loaded, because its code fails (SyntaxError: ',
        ),
        (
            lambda modules: modules.write('stamps', f'{STAMP}    def __setstate__(self, state): state["nosuch"]'),
            Verdict.FAILING,
            "cannot be loaded, because its code fails (KeyError: 'nosuch', in ",
        ),
    ],
)
def test_missing_and_failing_code_are_told_from_damage(
    path: Path, stamped: Modules, spoil: Callable[[Modules], object], verdict: Verdict, said: str
) -> None:
    assert verdicts(path) == []
    spoil(stamped)
    findings = verdicts(path)
    assert {finding.verdict for finding in findings} == {verdict}
    assert any(said in finding.sentence for finding in findings), findings
    if ', in ' in said:
        assert all('stamps.py, line ' in finding.sentence for finding in findings)


@pytest.mark.parametrize(
    ('old', 'new', 'said', 'line'),
    [
        ("    BLUE = 'blue'\n", '', 'blue', 6),  # by its value or its name, as the version of Python stores it
        ("    DARK = 'dark'\n", '', 'AttributeError: DARK', 19),
        ('    width: int', '    width: int\n    height: int', "missing 1 required positional argument: 'height'", 10),
        ('class Price:', "class Price:\n    __slots__ = ('a',)", "'Price' object has no attribute", 13),
        ('class Price:', 'class Price:\n    def __setstate__(self): 0', 'takes 1 positional argument but 2', 13),
        ('class Stamp(Persistent):', 'class Stamp(Persistent):\n    def __setstate__(self): pass', 'takes 1', 26),
        ('class Seal(Persistent):', 'class Seal:', 'must be persistent', 16),
        ('class Seal(Persistent):', 'class Seal(Persistent):\n    def __new__(cls, x): 0', "argument: 'x'", 16),
    ],
)
def test_a_class_that_does_not_take_what_is_stored_of_it_is_failing_code(
    path: Path, modules: Modules, old: str, new: str, said: str, line: int
) -> None:
    stamp = modules.write('stamps', STAMP).Stamp()
    stamp.price.b = 1
    with (
        open_database(f'file:{path}', share=True) as database,
        State(database, [Diary]) as state,
    ):
        state.update(lambda parts: parts[Diary].extra.update(stamp=stamp))
    modules.write('stamps', STAMP.replace(old, new))

    found = verdicts(path)

    assert {finding.verdict for finding in found} == {Verdict.FAILING}
    assert all(said.lower() in finding.sentence.lower() for finding in found), found
    assert all(f'stamps.py, line {line})' in finding.sentence for finding in found), found
    with (
        open_database(f'file:{path}', share=True) as database,
        State(database, [Diary]) as state,
    ):
        for run in (state.update, state.query):
            with pytest.raises(ComponentError, match=rf'cannot load what it needs.*line {line}\): correct that code'):
                run(lambda parts: parts[Diary].extra['stamp'].seal.__dict__ and None)


def test_a_check_that_fails_is_failing_code(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diary, 'check', lambda diary: diary.nosuch)
    ((verdict, sentence),) = verdicts(path)
    assert verdict is Verdict.FAILING
    assert sentence.startswith("diary cannot be checked, because its code fails (AttributeError: 'Diary' object has no")
    assert 'test_verification.py, line ' in sentence


@pytest.mark.parametrize('returned', [None, 5, 'it is wrong'])
def test_a_check_that_gives_no_sentences_is_failing_code(
    path: Path, monkeypatch: pytest.MonkeyPatch, returned: object
) -> None:
    monkeypatch.setattr(Diary, 'check', lambda _: returned)
    ((verdict, sentence),) = verdicts(path)
    assert verdict is Verdict.FAILING
    assert sentence.startswith(f'diary cannot be checked, because its check() returned {returned!r}: it must give')


def test_a_check_that_gives_something_else_among_sentences_is_failing_code(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Diary, 'check', lambda _: ['it is wrong', 5])
    first, second = verdicts(path)
    assert first == (Verdict.DISAGREES, 'diary: it is wrong')
    assert second.verdict is Verdict.FAILING
    assert second.sentence.startswith('diary cannot be checked, because its check() gave 5: it must give')


def test_damage_that_a_check_meets_is_damage(path: Path) -> None:
    replace(path, b'}q', b'\xffq')
    assert {finding.verdict for finding in verdicts(path)} == {Verdict.DAMAGE}


def test_a_disk_that_fails_is_not_taken_for_damage(path: Path) -> None:
    with open_as_stored(f'file:{path}') as database:
        database.db.storage._files.name = '/proc/self/mem'  # whose first bytes cannot be read
        database.db.storage._files.empty()
        all_found = list(findings(database))
    assert all_found
    assert {finding.verdict for finding in all_found} == {Verdict.DISK}
    assert 'OSError: [Errno 5] Input/output error' in all_found[0].sentence
