"""Components: what they offer, and in which order they start."""

import pytest

from hitcounter.errors import ComponentError
from hitcounter.state import Component, query, update
from hitcounter.state.component import Access, accesses, in_order


class First(Component):
    """The first."""

    name = 'first'

    @update
    def change(self) -> None:
        """Change it."""

    @query
    def look(self) -> None:
        """Look at it."""

    def neither(self) -> None:
        """Nobody but itself may call this."""


class Second(Component):
    """Depends on the first."""

    name = 'second'
    depends = (First,)


class Third(First):
    """Depends on both."""

    name = 'third'
    depends = (Second, First)


def test_what_is_marked_is_offered_and_nothing_else() -> None:
    assert accesses(First) == {'change': Access.UPDATE, 'look': Access.QUERY}


def test_a_subclass_offers_what_its_base_does() -> None:
    assert accesses(Third) == accesses(First)


def test_a_component_stands_behind_those_it_depends_on() -> None:
    assert in_order([Third, Second, First]) == [First, Second, Third]
    assert in_order([First, Third, Second]) == [First, Second, Third]


def test_a_component_named_twice_is_there_once() -> None:
    assert in_order([First, First]) == [First]


def test_two_components_of_one_name_are_named() -> None:
    class Other(Component):
        name = 'first'

    with pytest.raises(ComponentError, match=r"'first': .*First.*Other"):
        in_order([First, Other])


def test_the_name_of_the_schemas_is_taken() -> None:
    class Schemas(Component):
        name = 'schemas'

    with pytest.raises(ComponentError, match='which is taken'):
        in_order([Schemas])


def test_a_component_that_no_other_process_could_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(First, '__module__', '__main__')
    with pytest.raises(ComponentError, match='put it into a module'):
        in_order([First])


def test_a_missing_component_is_named() -> None:
    with pytest.raises(ComponentError, match="'second' depends on 'first', which is not there"):
        in_order([Second])


def test_a_circle_is_named() -> None:
    class Egg(Component):
        name = 'egg'

    class Hen(Component):
        name = 'hen'
        depends = (Egg,)

    Egg.depends = (Hen,)
    with pytest.raises(ComponentError, match='in a circle: egg -> hen -> egg'):
        in_order([Egg, Hen])
