"""Stand-ins for services whose machines prove who they are: keys of the lab's own, and who holds them where."""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias, get_args

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from nacl.public import PrivateKey

from probe.demo import telegram_stand_in, threema_stand_in, whatsapp_stand_in
from probe.demo.telegram_stand_in import TelegramStandIn, throwaway_key
from probe.demo.threema_stand_in import ThreemaStandIn
from probe.demo.whatsapp_stand_in import NoiseAuthority, WhatsAppStandIn

Serve: TypeAlias = Callable[..., Awaitable[None]]
KINDS = ("mtproto", "noise", "threema")


class Secrets:
    """The keys of one lab's services, as files, so that every process of it stands in for the same ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Draw them."""
        self._folder.mkdir()
        rsa = throwaway_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self._folder / "telegram").write_bytes(rsa)
        for name in ("whatsapp", "threema"):
            (self._folder / name).write_bytes(secrets.token_bytes(32))

    def anchors(self) -> dict[str, str]:
        """What belongs into configs/trust, by name."""
        return {
            "telegram": self.telegram().pem,
            "whatsapp": self._authority().pem,
            "threema": self.threema().pem,
        }

    def telegram(self, behaviour: telegram_stand_in.Behaviour = "honest") -> TelegramStandIn:
        """A data centre."""
        key: Any = load_pem_private_key((self._folder / "telegram").read_bytes(), None)
        return TelegramStandIn(behaviour, key=key)

    def whatsapp(self, behaviour: whatsapp_stand_in.Behaviour = "honest") -> WhatsAppStandIn:
        """A chat server."""
        return WhatsAppStandIn(self._authority(), behaviour)

    def threema(self, behaviour: threema_stand_in.Behaviour = "honest") -> ThreemaStandIn:
        """A chat server."""
        return ThreemaStandIn(behaviour, key=PrivateKey((self._folder / "threema").read_bytes()))

    def _authority(self) -> NoiseAuthority:
        return NoiseAuthority((self._folder / "whatsapp").read_bytes())

    def serving(self, kind: str, behaviour: str) -> Serve:
        """Whoever serves this kind of stream and behaves so. Raises ValueError for what it cannot do."""
        module = {"mtproto": telegram_stand_in, "noise": whatsapp_stand_in, "threema": threema_stand_in}[kind]
        if behaviour not in get_args(module.Behaviour):
            raise ValueError(f"a stand-in for {kind} cannot be {behaviour!r}")
        makes: dict[str, Callable[[Any], Any]] = {
            "mtproto": self.telegram, "noise": self.whatsapp, "threema": self.threema,
        }  # fmt: skip
        serve: Serve = makes[kind](behaviour).serve
        return serve
