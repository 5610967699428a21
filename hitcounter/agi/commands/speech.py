"""Commands for a speech engine. Asterisk itself does not include one."""

import re
from collections.abc import Iterator

from ...errors import CommandFailed, ProtocolError
from ..exchange import COMMAND_TIMEOUT, Exchange
from ..protocol.arguments import Seconds, samples, whole_seconds
from ..protocol.reply import Reply
from ..protocol.results import Recognition, RecognitionEnd, Utterance

_UTTERANCE = re.compile(
    r' score(\d+)=(-?\d{1,19}) text\1="(.*?)" grammar\1=(.*?)(?= score\d+=-?\d+ text|\Z)', re.DOTALL
).match


class SpeechCommands(Exchange):
    """The speech engine of a call. Each command raises CommandFailed if Asterisk answers 0, usually because an
    engine is missing, or was not created.
    """

    def speech_create(self, engine: str = '') -> None:
        """Create the engine of that name, or the default one; a call has one at a time."""
        self._speech('SPEECH CREATE', engine)

    def speech_set(self, name: str, value: str) -> None:
        """Set one of the engine's own settings."""
        self._speech('SPEECH SET', name, value)

    def speech_destroy(self) -> None:
        """Release the engine. Runs on a dead channel too."""
        self._speech('SPEECH DESTROY')

    def speech_load_grammar(self, name: str, path: str) -> None:
        """Load the grammar in the file `path`, on Asterisk's machine, as `name`."""
        self._speech('SPEECH LOAD GRAMMAR', name, path)

    def speech_unload_grammar(self, name: str) -> None:
        """Unload a grammar. Runs on a dead channel too."""
        self._speech('SPEECH UNLOAD GRAMMAR', name)

    def speech_activate_grammar(self, name: str) -> None:
        """Listen for what the grammar describes."""
        self._speech('SPEECH ACTIVATE GRAMMAR', name)

    def speech_deactivate_grammar(self, name: str) -> None:
        """Listen no longer for what the grammar describes."""
        self._speech('SPEECH DEACTIVATE GRAMMAR', name)

    def speech_recognize(self, prompt: str, *, timeout: Seconds | None = None, offset: int = 0) -> Recognition:
        """Play `prompt` from sample `offset` on, and listen, until the caller has spoken or pressed a key.

        `timeout` runs from the prompt's end, in whole seconds, whatever other commands take. Without one, or with 0,
        it listens for ever.
        """
        wait = '0' if timeout is None else str(whole_seconds(timeout))
        offsets = (samples(offset),) if offset else ()
        reply = self.command('SPEECH RECOGNIZE', prompt, wait, *offsets)
        if reply.result == '0':
            raise CommandFailed('Asterisk does not recognize speech here: create a speech engine first')
        return _recognition(reply)

    def _speech(self, name: str, *arguments: str) -> None:
        if self.command(name, *arguments, timeout=COMMAND_TIMEOUT).result != '1':
            raise CommandFailed(f'Asterisk could not do {name}: its log says why')


def _recognition(reply: Reply) -> Recognition:
    try:
        end = RecognitionEnd(reply.data)
    except ValueError:
        raise ProtocolError(f'{reply.data!r} ends no speech recognition') from None
    digit = reply.text.removeprefix('digit=')[:1] if end is RecognitionEnd.DIGIT else None
    utterances = tuple(_utterances(reply.text)) if end is RecognitionEnd.SPEECH else ()
    return Recognition(end, digit, reply.endpos or 0, utterances)


def _utterances(text: str) -> Iterator[Utterance]:
    """Each in turn, up to the first incomplete one: searching beyond it would take quadratic time."""
    at = max(0, text.find(' score'))
    while found := _UTTERANCE(text, at):
        _, score, said, grammar = found.groups()
        yield Utterance(said, int(score), grammar)
        at = found.end()
