// From what the browser saw and the server heard to figures, and from figures to sentences. Pure.

/**
 * `seen` is getStats as a list, `heard` what the server said (docs/far-end.md) or null.
 *
 * The server keeps the numbers of the packets it sends back, so the browser misses what was lost in either direction;
 * what the server misses was lost on the way there. During a call both are counted by gaps in the numbers, whatever is
 * still on its way; when it is `over`, by what was sent, unless the server ended it and heard no more since. `silence`
 * is how long nothing has come back. Times are in seconds, and null is what is not known.
 */
export function figures(seen, heard, over) {
  const find = (type) => seen.find((one) => one.type === type);
  const out = find("outbound-rtp");
  const back = find("inbound-rtp");
  const there = heard?.streams?.find((one) => one.ssrc === out?.ssrc);
  const byServer = ["time", "octets"].includes(heard?.ended);
  const sent = (byServer ? there?.expected : out?.packetsSent) ?? 0;
  const arrived = heard ? (there?.received ?? 0) : null;
  const returned = back?.packetsReceived ?? 0;
  const lost = Math.max(0, over ? sent - returned : (back?.packetsLost ?? 0));
  const lostUp = arrived === null ? null : Math.max(0, (over ? sent : (there?.expected ?? 0)) - arrived);
  const lostDown = arrived === null ? null : Math.max(0, lost - lostUp);
  return {
    sent,
    lost,
    up: { arrived, lost: lostUp, jitter: there?.jitter ?? null },
    down: { arrived: returned, lost: lostDown, jitter: back?.jitter ?? null },
    silence: returned ? (back.timestamp - back.lastPacketReceivedTimestamp) / 1000 || 0 : null,
    roundTrip: roundTrip(find("remote-inbound-rtp"), pair(seen)),
    way: way(seen),
    hello: { client: "by this browser", server: "by the server" }[find("transport")?.dtlsRole] ?? null,
  };
}

/** What happened, in a sentence or two; `cut` is the second from which on nothing came back, or null. */
export function summary(result, cut) {
  if (!result.sent) return "No packet was sent.";
  const said = [counted(result)];
  if (cut !== null && result.down.arrived) said.push(`From second ${cut} on nothing came back any more.`);
  if (result.roundTrip !== null) said.push(`The round trip took ${milliseconds(result.roundTrip)} on average.`);
  return said.join(" ");
}

function counted({ sent, lost, up, down }) {
  const back = `${down.arrived} came back`;
  if (up.arrived === null) return `Of ${sent} packets ${back}; the server did not say how many arrived there.`;
  if (!up.arrived) return `None of ${sent} packets arrived at the server.`;
  if (!lost) return `All ${sent} packets arrived at the server, and all came back.`;
  const all = `All ${sent} packets arrived at the server`;
  const there = up.lost ? `Of ${sent} packets ${share(up.lost, sent)} did not arrive at the server` : all;
  if (!down.arrived) return `${there}; none came back.`;
  if (!down.lost) return `${there}; all others came back.`;
  return `${there}; ${share(down.lost, up.arrived)}${up.lost ? " of the others" : ""} did not come back.`;
}

/** "2 (0.5 %)" */
export function share(part, whole) {
  if (part === null) return "–";
  const percent = whole ? (100 * part) / whole : 0;
  return `${part} (${percent.toFixed(percent && percent < 10 ? 1 : 0)} %)`;
}

export function milliseconds(seconds) {
  return seconds === null ? "–" : `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}

/** By the reports about our packets if there are any, else by the checks of the path. */
function roundTrip(report, path) {
  if (report?.roundTripTimeMeasurements) return report.totalRoundTripTime / report.roundTripTimeMeasurements;
  if (path?.responsesReceived) return path.totalRoundTripTime / path.responsesReceived;
  return null;
}

function pair(seen) {
  const chosen = seen.find((one) => one.type === "transport")?.selectedCandidatePairId;
  const isUsed = (one) => one.type === "candidate-pair" && one.nominated && one.state === "succeeded";
  return seen.find(chosen ? (one) => one.id === chosen : isUsed);
}

function way(seen) {
  const local = seen.find((one) => one.id === pair(seen)?.localCandidateId);
  if (!local) return null;
  if (local.candidateType !== "relay") return "direct, over UDP";
  return `relay, over ${local.relayProtocol?.toUpperCase() ?? "something"}`;
}
