"""client - home (NAT) - isp - box - net: namespaces of one lab, made and removed by name."""

import contextlib
import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

_CLONE_NEWNET = 0x40000000
CLIENT4, CLIENT6 = "192.168.77.2", "2a00:1370:1:77::2"
HOME4 = "85.140.1.2"  # what the internet sees of the client
RESOLVER4, RESOLVER6 = "85.140.0.53", "2a00:1370::53"
CGNAT4 = "85.140.0.9"  # what the internet sees behind a carrier's translation
VPN4, ROAMED4 = "10.8.0.2", "192.168.77.9"  # the client inside a tunnel, and in another network
# The far end and the TURN server beside it, in a range of hosters, each in both families.
FAR_HOST, FAR_END = "far.lab.example", ("5.61.80.1", "2a03:b0c0:2::1")
FAR_TURN_HOST, FAR_TURN = "turn.lab.example", ("5.61.80.2", "2a03:b0c0:2::2")
COLLECTOR_HOST, COLLECTOR = "collector.lab.example", ("5.61.80.3", "2a03:b0c0:2::3")
FAR_SECRET = "a secret of the laboratory"
CLIENTS = (CLIENT4, CLIENT6, HOME4, CGNAT4, VPN4, ROAMED4)  # must be in nothing that is written


def sh(*command: str, **more: str) -> str:
    """Run a command; its words are in the error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=more.get("stdin"))
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _resolv(namespace: str) -> Path:
    return Path("/etc/netns") / namespace / "resolv.conf"  # where `ip netns exec` looks


def enter(namespace: str) -> None:
    """Move this thread, and what it starts, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/var/run/netns/{namespace}").open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")


class Topology:
    """The namespaces of one lab. `prefix` keeps labs that run side by side apart."""

    def __init__(self, prefix: str, *, families: Sequence[int] = (4, 6)) -> None:
        self.client, self.home, self.isp, self.net = (
            f"{prefix}-{r}" for r in ("client", "home", "isp", "net")
        )
        self.families = families

    @property
    def namespaces(self) -> tuple[str, ...]:
        return self.client, self.home, self.isp, self.net

    def make(self) -> None:
        """Namespaces, links, addresses; routes through the box need `connect` once it runs."""
        for name in self.namespaces:
            sh("ip", "netns", "add", name)
            self.run(name, "ip", "link", "set", "lo", "up")
            for key in ("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"):
                self.run(name, "sysctl", "-qw", key)
        for name in (self.home, self.isp):
            self.run(name, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
            self.run(name, "sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1")  # for `ct bytes`
        self._link(
            self.client,
            self.home,
            (f"{CLIENT4}/24", f"{CLIENT6}/64"),
            ("192.168.77.1/24", "2a00:1370:1:77::1/64"),
        )
        self._link(
            self.home,
            self.isp,
            (f"{HOME4}/24", "2a00:1370:1::2/64"),
            ("85.140.1.1/24", "2a00:1370:1::1/64"),
            "wan",
        )
        for ip in (f"{RESOLVER4}/32", f"{RESOLVER6}/128"):
            self.run(self.isp, "ip", "addr", "add", ip, "dev", "lo")
        self.run(self.client, "ip", "route", "add", "default", "via", "192.168.77.1")
        self.run(self.home, "ip", "route", "add", "default", "via", "85.140.1.1")
        if 6 in self.families:
            self.run(self.client, "ip", "-6", "route", "add", "default", "via", "2a00:1370:1:77::1")
        self.run(self.home, "ip", "-6", "route", "add", "default", "via", "2a00:1370:1::1")
        self.run(self.isp, "ip", "-6", "route", "add", "2a00:1370:1:77::/64", "via", "2a00:1370:1::2")
        self.resolver(self.client, RESOLVER4)
        self.resolver(self.net, "8.8.8.8")

    def resolver(self, namespace: str, ip: str) -> None:
        """Whom the system there asks."""
        file = _resolv(namespace)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"nameserver {ip}\noptions timeout:5 attempts:2\n")

    def connect(self) -> None:
        """Routes through the box's devices; every address of the internet is local in `net`."""
        self.run(self.isp, "ip", "link", "set", "wan0", "up")
        self.run(self.isp, "ip", "route", "add", "default", "dev", "wan0")
        self.run(self.isp, "ip", "-6", "route", "add", "default", "dev", "wan0")
        self.run(self.net, "ip", "link", "set", "wan0", "up")
        self.run(self.net, "ip", "addr", "add", "2a03:ffff::1/128", "dev", "wan0")  # to send ICMPv6 from
        self.run(self.net, "sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1", "net.ipv6.ip_nonlocal_bind=1")
        self.run(self.net, "ip", "route", "add", "local", "default", "dev", "lo", "table", "main")
        self.run(self.net, "ip", "-6", "route", "add", "local", "::/0", "dev", "lo", "table", "main")
        self.run(self.net, "ip", "route", "add", "85.140.0.0/16", "dev", "wan0")
        self.run(self.net, "ip", "-6", "route", "add", "2a00:1370::/32", "dev", "wan0")

    def own(self, namespace: str, ips: Sequence[str]) -> None:
        """Addresses that programs find when they look which ones the machine has, as WebRTC does."""
        for ip in ips:
            self.run(namespace, "ip", "addr", "add", f"{ip}/{128 if ':' in ip else 32}", "dev", "lo")

    def filter(self, namespace: str, rules: str) -> None:
        """Load an nftables rule set."""
        sh("ip", "netns", "exec", namespace, "nft", "-f", "-", stdin=rules)

    def run(self, namespace: str, *command: str) -> str:
        """Run a command inside."""
        return sh("ip", "netns", "exec", namespace, *command)

    def remove(self) -> None:
        """Forget the namespaces, whatever state they are in."""
        for name in self.namespaces:
            with contextlib.suppress(RuntimeError):
                sh("ip", "netns", "del", name)
            with contextlib.suppress(OSError):
                _resolv(name).unlink()
                _resolv(name).parent.rmdir()

    def _link(
        self, one: str, other: str, ours: Sequence[str], theirs: Sequence[str], name: str = "eth0"
    ) -> None:
        peer = f"{name}-peer"
        sh(
            "ip",
            "link",
            "add",
            "name",
            name,
            "netns",
            one,
            "type",
            "veth",
            "peer",
            "name",
            peer,
            "netns",
            other,
        )
        for namespace, device, ips in ((one, name, ours), (other, peer, theirs)):
            for ip in ips:
                self.run(namespace, "ip", "addr", "add", ip, "dev", device)
            self.run(namespace, "ip", "link", "set", device, "up")
