"""The surroundings of a channel: other channels, and the applications of the dialplan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..agi.protocol.results import ChannelState


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherChannel:
    """A channel that commands may name; hanging up one that is `linked` also hangs up this call's own."""

    state: ChannelState = ChannelState.UP
    variables: Mapping[str, str] = field(default_factory=dict)
    linked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The outcome of an application of the dialplan: its result, after some seconds, and the variables that it sets."""

    result: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
