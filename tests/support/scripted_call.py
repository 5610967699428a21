"""A call whose replies are given."""

from hitcounter.agi import Call, Environment
from tests.support.fake_stream import Scripted


def scripted(*pieces: bytes) -> tuple[Call, Scripted]:
    stream = Scripted(pieces)
    return Call(Environment({}), stream), stream
