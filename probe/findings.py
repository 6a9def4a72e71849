"""What else is true of a run or its network, and no service's fault: said beside the verdicts, never instead."""

from statistics import median

from probe.failure import Kind
from probe.model import Chain, Finding
from probe.reading import OWN, failure_of, ids, was_missed
from probe.regime import FOREIGN, Network
from probe.resolution import opened
from probe.tampering import tampering

_FREEZE = (12_000, 40_000)  # bytes of one TCP connection after which a known filter lets nothing more pass
_DISTURBED = {
    "address_changed": "this machine changed networks during the run",
    "way_lost": "this machine lost its network during the run",
    "clock_leapt": "this machine slept, or its clock was set, during the run",
}
_SKEW = 120.0  # seconds; less is of no consequence to anything we say


def _of_this_run(network: Network) -> list[Finding]:
    """What happened while it was measured, and to whom."""
    end = network.document.end
    found = []
    for one in end.disturbances if end else ():
        happened = _DISTURBED[one.kind]
        found.append(Finding(rule="run.disturbed", because=f"{happened} (noticed {one.at:%H:%M:%S} UTC)"))
    changes = [(r, change) for r in network.tried if (change := r.change) is not None]
    if changes:
        changed = sorted({f"{r.measurement.service or 'control'} {r.measurement.target}" for r, _ in changes})
        who = ", ".join(changed)
        until, since = min(c[0].at for _, c in changes), max(c[1].at for _, c in changes)
        found.append(
            Finding(
                rule="run.mixed",
                because=f"something changed between {until:%H:%M:%S} and {since:%H:%M:%S} UTC: {who}",
                evidence=tuple(o.id for _, change in changes for o in change),
            )
        )
    found += _busy(network)
    ahead = network.controls.clock_offsets()
    if ahead and abs(median(ahead)) > _SKEW:
        found.append(Finding(rule="clock.skewed", because="this machine's clock is off by minutes or more"))
    return found


def _busy(network: Network) -> list[Finding]:
    chains = [chain for measurement in network.document.measurements for chain in measurement.chains]
    missed = [chain for chain in chains if (ended := failure_of(chain)) is not None and was_missed(ended)]
    if not missed:
        return []
    count, tries = len(missed), len(chains)
    because = (
        f"this machine was too busy to listen: {count} of {tries} attempts say nothing;"
        " measure again when it is idle"
    )
    return [Finding(rule="run.busy", because=because, evidence=ids(missed)[:40])]


def _frozen(network: Network) -> list[Chain]:
    """Own tries of load controls that all stopped inside the window in which a known filter freezes connections."""
    found = []
    for reading in network.readings:
        if reading.measurement.role != "load":
            continue
        stalled = [chain for chain in reading.failed(*OWN) if _stalled(chain)]
        # A slow line stops anywhere, a counter does not.
        same = {_carried(chain) // 4000 for chain in stalled}
        if len(stalled) >= 2 and len(stalled) == len(reading.tries(*OWN)) and len(same) <= 2:
            found += stalled
    return found


def _stalled(chain: Chain) -> bool:
    ended = failure_of(chain)
    silent = ended is not None and ended.failure is not None and ended.failure.kind is Kind.TIMEOUT
    return (
        silent and ended is not None and ended.step == "http" and _FREEZE[0] <= _carried(chain) <= _FREEZE[1]
    )


def _carried(chain: Chain) -> int:
    """Bytes that the connection brought down."""
    return sum(o.received for o in chain.observations)


def _encrypted_dns(network: Network) -> list[Finding]:
    last = {
        resolver: lookup.observations[-1]
        for resolver, lookup in opened(network.document).items()
        if lookup.observations
    }
    return [
        Finding(
            rule="dns.encrypted",
            because=f"the encrypted resolver {resolver} cannot be used ({observation.step} fails)",
            evidence=(observation.id,),
        )
        for resolver, observation in last.items()
        if observation.failure is not None
    ]


def _resolver_policy(network: Network) -> list[Finding]:
    """Names that are no messenger's and that the machine's own resolver falsifies: its policy, named."""
    found = []
    for measurement in network.controls.measurements:
        for host in {chain.host for chain in measurement.chains} & network.names.keys():
            lie = tampering(network.names[host], measurement.chains, network.resolver)
            if lie is not None and lie.proved:
                because = (
                    f"the machine's own resolver tampers with {host} ({lie.mechanism}), which is no messenger"
                )
                found.append(Finding(rule="dns.policy", because=because, evidence=lie.evidence))
    return list({finding.because: finding for finding in found}.values())


def _downloads(network: Network) -> list[Finding]:
    frozen = _frozen(network)
    if not frozen:
        return []
    held = max(_carried(chain) for chain in frozen) // 1000
    hosts = ", ".join(sorted({chain.host for chain in frozen}))
    because = f"downloads from {hosts} stop for good after some {held} kB, every time, without a word"
    return [Finding(rule="tcp.frozen", because=because, evidence=ids(frozen))]


def _quic(network: Network) -> list[Finding]:
    quic = [network.controls.health("quic", family) for family in (4, 6)]
    stun = [network.controls.health("stun", family, not_port=53, classes=FOREIGN) for family in (4, 6)]
    if not any(h.dead for h in quic) or any(h.alive for h in quic) or not any(h.alive for h in stun):
        return []
    evidence = tuple(i for h in quic for i in h.evidence)
    because = "QUIC is not answered by any control while other UDP is"
    return [Finding(rule="quic.dropped", because=because, evidence=evidence)]


def findings(network: Network) -> list[Finding]:
    """Every regime that applies, and what else was noticed."""
    found = [Finding(rule=f"regime.{rule.regime}", because=rule.because) for rule in network.applying]
    if found and found[0].rule == "regime.offline":
        return found[:1]
    for look in (_of_this_run, _encrypted_dns, _resolver_policy, _downloads, _quic):
        found += look(network)
    return found
