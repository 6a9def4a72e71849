"""What is written down: frozen records, their JSON lines, and the texts and addresses that may be kept.

Three families share one base. A `Record` is a fact or a verdict: unknown keys are tolerated, so that an
older program reads a newer file. A `Setting` is something a person wrote in TOML: unknown keys are
refused by name. A `Private` is an address of the volunteer: it can be compared, and it cannot be
written, because nothing here or in msgspec knows how to encode it.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Any, dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Frozen(msgspec.StructMeta):
    """Frozen and keyword-only for every subclass; msgspec and type checkers would forget it otherwise."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any
    ) -> "_Frozen":
        config = {"frozen": True, "kw_only": True, "omit_defaults": True} | config
        return super().__new__(mcs, name, bases, namespace, **config)


class Record(msgspec.Struct, metaclass=_Frozen, gc=False):
    """Something that lands in a result file.

    Made at once and of its parts, it is in no cycle that Python's collector would have to look for.
    """


class Setting(msgspec.Struct, metaclass=_Frozen, forbid_unknown_fields=True):
    """Something a person writes in a configuration file."""


class Private:
    """An address of the volunteer: compare it, derive from it, never write it."""

    __slots__ = ("_ip", "_port")

    def __init__(self, ip: str, port: int = 0) -> None:
        self._ip = ipaddress.ip_address(ip.split("%", 1)[0])
        self._port = port

    def __repr__(self) -> str:
        return "<private>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Private) and (self._ip, self._port) == (other._ip, other._port)

    def __hash__(self) -> int:
        return hash((self._ip, self._port))

    def __reduce__(self) -> Any:
        raise TypeError("an address of the volunteer is never serialised")

    def same_host(self, other: "Private") -> bool:
        """Whether both are the same host, whatever the port."""
        return self._ip == other._ip

    @property
    def family(self) -> int:
        """4 or 6."""
        return self._ip.version

    @property
    def is_public(self) -> bool:
        """Whether the address is routed on the public internet."""
        return self._ip.is_global

    @property
    def is_loopback(self) -> bool:
        """Whether it leads nowhere but to this machine."""
        return self._ip.is_loopback

    def reversed_name(self, *, zone4: str, zone6: str) -> str:
        """The name under which an address-to-network service answers for this address."""
        digits = self._ip.reverse_pointer.rsplit(".", 2)[0]
        return f"{digits}.{zone4 if self._ip.version == 4 else zone6}"

    def open(self) -> str:
        """The address in clear, for a look-up that stays on this machine or for a socket."""
        return str(self._ip)


@lru_cache(maxsize=4096)
def is_address(text: str) -> bool:
    """Whether the text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_ENCODER = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def line(record: Record) -> bytes:
    """One JSON line, newline included."""
    return _ENCODER.encode(record) + b"\n"


_UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ADDRESS_LIKE = re.compile(r"\d{1,3}(?:[.\-_]\d{1,3}){3}|(?:[0-9a-fA-F]{0,4}:){2,}[0-9a-fA-F]{0,4}")
_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def holds_address(text: str) -> bool:
    """Whether anything in a text looks like an IP address, also with dashes, as reverse names have it."""
    return _ADDRESS_LIKE.search(text) is not None


def plain(text: str) -> str:
    """A foreign text without what is not seen but obeyed, by terminals and by the order of writing."""
    return _UNSEEN.sub("?", text)


def peer_text(raw: bytes | str, *, limit: int = 80) -> str:
    """What a peer said in its own words, as far as it may be kept.

    A realm, a reason phrase or a server header is chosen by the other side, and block pages like to
    print the visitor's address: a text in which anything looks like an address is withheld whole.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = _PRINTABLE.sub("?", text[: 4 * limit]).strip()[:limit]
    return "withheld: it holds an address" if holds_address(text) else text
