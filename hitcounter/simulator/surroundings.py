"""What there is around a channel: other channels, and the applications of the dialplan."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..agi.protocol.results import ChannelState


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherChannel:
    """A channel that commands may name; one that is `linked` takes this call's own along when it is hung up."""

    state: ChannelState = ChannelState.UP
    variables: Mapping[str, str] = field(default_factory=dict)
    linked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What an application of the dialplan comes to: its result, after some seconds, and the variables it has set."""

    result: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
