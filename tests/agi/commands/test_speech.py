"""The commands of speech recognition."""

from functools import partial
from time import process_time

import pytest

from hitcounter.agi import Recognition, RecognitionEnd, Utterance
from hitcounter.errors import CommandFailed, ProtocolError
from tests.support.recordings import replay
from tests.support.scripted_call import scripted


def test_without_a_speech_engine_every_command_fails():
    call, stream = replay('cmd-speech')
    for command, *arguments in (
        (call.speech_create, 'nosuch'),
        (call.speech_create,),
        (call.speech_set, 'a', 'b'),
        (partial(call.speech_recognize, timeout=500), 'beep'),
        (call.speech_load_grammar, 'g', 'p'),
        (call.speech_activate_grammar, 'g'),
        (call.speech_deactivate_grammar, 'g'),
        (call.speech_unload_grammar, 'g'),
        (call.speech_destroy,),
    ):
        with pytest.raises(CommandFailed):
            command(*arguments)
    assert stream.sent == [
        b'SPEECH CREATE nosuch\n',
        b'SPEECH CREATE ""\n',
        b'SPEECH SET a b\n',
        b'SPEECH RECOGNIZE beep 500\n',
        b'SPEECH LOAD GRAMMAR g p\n',
        b'SPEECH ACTIVATE GRAMMAR g\n',
        b'SPEECH DEACTIVATE GRAMMAR g\n',
        b'SPEECH UNLOAD GRAMMAR g\n',
        b'SPEECH DESTROY\n',
    ]


def test_speech_is_recognized():
    heard = b'results=2 score0=900 text0="call (me) now" grammar0=orders score1=-3 text1="ca"ll" grammar1=b'
    call, stream = scripted(
        b'200 result=1\n',
        b'200 result=1 (speech) endpos=1600 ' + heard + b'\n',
        b'200 result=1 (speech) endpos=0 results=0 \n',
        b'200 result=1 (digit) digit=# endpos=800\n',
        b'200 result=1 (timeout) endpos=0\n',
    )
    call.speech_create()
    assert call.speech_recognize('beep', timeout=2.5, offset=80) == Recognition(
        RecognitionEnd.SPEECH,
        None,
        1600,
        (Utterance('call (me) now', 900, 'orders'), Utterance('ca"ll', -3, 'b')),
    )
    assert call.speech_recognize('beep') == Recognition(RecognitionEnd.SPEECH, None, 0, ())
    assert call.speech_recognize('beep') == Recognition(RecognitionEnd.DIGIT, '#', 800, ())
    assert call.speech_recognize('beep', timeout=1) == Recognition(RecognitionEnd.TIMEOUT, None, 0, ())
    assert stream.sent[1:3] == [b'SPEECH RECOGNIZE beep 3 80\n', b'SPEECH RECOGNIZE beep 0\n']


def test_what_was_recognized_is_read_in_one_go_whatever_stands_in_it():
    call, _ = scripted(b'200 result=1 (speech) endpos=0 results=1' + b' score0=9 text0="' * 3800 + b'\n')
    before = process_time()
    assert call.speech_recognize('beep').utterances == ()
    assert process_time() - before < 0.5  # a search from each score on takes seconds


def test_an_unknown_end_of_a_recognition_is_an_error():
    call, _ = scripted(b'200 result=1 (eclipse) endpos=0\n')
    with pytest.raises(ProtocolError, match='ends no speech recognition'):
        call.speech_recognize('beep')
