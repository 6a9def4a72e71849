"""What the requests of a far end's API work on, whoever carries them."""

from collections.abc import Callable
from dataclasses import dataclass

from probe import __version__
from probe.far_end.calls import Calls
from probe.far_end.flows import Flows
from probe.far_end.protocol import VERSION, Most, Welcome
from probe.far_end.settings import FarEndSettings
from probe.far_end.tickets import TOKEN_SECONDS, Session, Tickets
from probe.far_end.turn_server import credentials
from probe.step import TurnAccess


@dataclass(frozen=True)
class House:
    """A far end without its sockets. `clock` gives seconds that only grow, `wall` the time of day."""

    settings: FarEndSettings
    tickets: Tickets
    flows: Flows
    calls: Calls
    wall: Callable[[], float]

    @classmethod
    def build(
        cls, settings: FarEndSettings, clock: Callable[[], float], wall: Callable[[], float]
    ) -> "House":
        """An empty one."""
        return cls(
            settings=settings,
            tickets=Tickets(settings.keys, settings.limits.sessions, clock),
            flows=Flows(settings.limits, clock),
            calls=Calls(settings, clock),
            wall=wall,
        )

    def welcome(self, client: str, key: str) -> Welcome:
        """A session for a client. Raises Refused."""
        token = self.tickets.admit(client, key)
        most = self.settings.limits
        return Welcome(
            version=VERSION,
            software=f"callreach {__version__}",
            token=token,
            seconds=TOKEN_SECONDS,
            udp=self.flows.listening("udp"),
            tcp=self.flows.listening("tcp"),
            webrtc=most.calls > 0,
            turn=self.turn(self.tickets.session(token)),
            most=Most(seconds=most.seconds, flows=most.per_session, octets=most.octets),
        )

    def turn(self, session: Session) -> TurnAccess | None:
        """The TURN server beside, with credentials of this session."""
        server = self.settings.turn
        return None if server is None else credentials(server, session.id, self.wall() + TOKEN_SECONDS)

    def sweep(self) -> None:
        """End and forget what is due."""
        self.flows.sweep()
        self.calls.sweep()
        self.tickets.sweep()
