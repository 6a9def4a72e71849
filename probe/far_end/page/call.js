// Places a call to the machine this page came from, over WHIP (RFC 9725), and says what the browser measures of it.
"use strict";

const CONNECT = 15000; // milliseconds
const GATHER = 3000;
const byId = (id) => document.getElementById(id);

let call = null; // the call in progress

class Refused extends Error {}

function say(text, kind = "") {
  byId("state").textContent = text;
  byId("state").className = kind;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Refused("The far end cannot be reached over HTTPS.");
  }
  if (answer.ok) return answer;
  const refusal = await answer.json().catch(() => ({ reason: `status ${answer.status}` }));
  const later = refusal.retry ? ` Try again in ${Math.ceil(refusal.retry)} s.` : "";
  throw new Refused(`The far end says: ${refusal.reason}.${later}`);
}

async function voice() {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    return { track: stream.getAudioTracks()[0], stop: () => stream.getTracks().forEach((one) => one.stop()) };
  } catch {
    // Without a microphone a tone does as well: it is the packets that are tested.
    const audio = new AudioContext();
    const tone = audio.createOscillator();
    const out = audio.createMediaStreamDestination();
    tone.connect(out);
    tone.start();
    return { track: out.stream.getAudioTracks()[0], stop: () => audio.close() };
  }
}

function iceServers(turn) {
  if (!turn) return [];
  const host = turn.host.includes(":") ? `[${turn.host}]` : turn.host;
  const urls = [];
  if (turn.udp) urls.push(`turn:${host}:${turn.udp}?transport=udp`);
  if (turn.tcp) urls.push(`turn:${host}:${turn.tcp}?transport=tcp`);
  if (turn.tls) urls.push(`turns:${host}:${turn.tls}?transport=tcp`);
  return [{ urls, username: turn.username, credential: turn.password }];
}

function gathered(peer) {
  return new Promise((done) => {
    const look = () => peer.iceGatheringState === "complete" && done();
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(done, GATHER);
    look();
  });
}

async function place() {
  byId("place").disabled = true;
  byId("end").hidden = false;
  byId("facts").hidden = true;
  call = { began: Date.now(), stop: () => {}, peer: null, path: "", token: "", connected: false };
  const mine = call;
  try {
    say("Asking the far end …");
    const body = JSON.stringify({ key: byId("key").value });
    const welcome = await (await ask("v1/session", { method: "POST", body })).json();
    mine.token = `Bearer ${welcome.token}`;
    const servers = iceServers(welcome.turn);
    if (byId("way").value === "relay" && !servers.length) throw new Refused("The far end has no relay beside it.");
    say("Opening the microphone …");
    const source = await voice();
    mine.stop = source.stop;
    if (call !== mine) return source.stop();
    const peer = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: byId("way").value });
    mine.peer = peer;
    peer.addTrack(source.track, new MediaStream([source.track]));
    peer.ontrack = (event) => {
      byId("echo").srcObject = new MediaStream([event.track]);
      byId("echo").muted = !byId("hear").checked;
      byId("echo").play().catch(() => {});
    };
    peer.onconnectionstatechange = () => call === mine && changed(mine);
    say("Calling …");
    await peer.setLocalDescription();
    await gathered(peer);
    const answer = await ask("v1/whip", {
      method: "POST",
      headers: { authorization: mine.token, "content-type": "application/sdp" },
      body: peer.localDescription.sdp,
    });
    mine.path = new URL(answer.headers.get("location"), location.href).pathname;
    const sdp = await answer.text();
    if (call !== mine) return drop(mine);
    await peer.setRemoteDescription({ type: "answer", sdp });
    mine.late = setTimeout(() => finish(
      "The far end took the call, but no way for voice was found within 15 s: the path for media does not work here.",
      "bad"), CONNECT);
    mine.timer = setInterval(() => show(mine), 1000);
    setTimeout(() => call === mine && finish("The call is over: it lasted as long as it may.", "good"),
      (welcome.most.seconds - 2) * 1000);
  } catch (error) {
    if (call === mine) finish(error instanceof Refused ? error.message : `This browser cannot: ${error.message}`, "bad");
  }
}

function changed(mine) {
  switch (mine.peer.connectionState) {
    case "connected":
      clearTimeout(mine.late);
      mine.connected = true;
      mine.began = Date.now();
      byId("facts").hidden = false;
      return say("Connected. Speak, or just wait.", "good");
    case "disconnected":
      return say("Connected, but nothing comes back at the moment.", "bad");
    case "failed":
      return finish(mine.connected ? "The call broke off: its path for voice is gone."
        : "No way for voice was found: the path for media does not work here.", "bad");
  }
}

const share = (lost, all) => all > 0 ? `${(100 * Math.max(0, lost) / all).toFixed(1)} % (${Math.max(0, lost)} of ${all})` : "…";
const ms = (seconds) => seconds === undefined ? "…" : `${Math.round(seconds * 1000)} ms`;

// The far end sends packets back under their own numbers, so what is missing here was lost on either way; what was
// lost on the way there, its receiver reports say.
async function show(mine) {
  const found = {};
  (await mine.peer.getStats()).forEach((one) => {
    if (one.type === "inbound-rtp" && one.kind === "audio") found.down = one;
    if (one.type === "outbound-rtp" && one.kind === "audio") found.out = one;
    if (one.type === "remote-inbound-rtp" && one.kind === "audio") found.up = one;
    if (one.type === "transport") found.transport = one;
    found[one.id] = one;
  });
  const pair = found.transport && found[found.transport.selectedCandidatePairId];
  const here = pair && found[pair.localCandidateId];
  const lostUp = found.up ? found.up.packetsLost : 0;
  const lost = found.down ? found.down.packetsLost : 0;
  byId("trip").textContent = ms(pair && pair.currentRoundTripTime);
  byId("up").textContent = found.up && found.out ? share(lostUp, found.out.packetsSent) : "…";
  byId("down").textContent = found.down ? share(lost - lostUp, found.down.packetsReceived + lost - lostUp) : "…";
  byId("jitter").textContent = ms(found.down && found.down.jitter);
  byId("path").textContent = !here ? "…" : here.candidateType === "relay"
    ? `through the relay over ${(here.relayProtocol || "udp").toUpperCase()}` : "direct over UDP";
  byId("time").textContent = `${Math.round((Date.now() - mine.began) / 1000)} s`;
}

// The browser may forget the page before an answer comes: the request is sent all the same.
function drop(mine) {
  mine.stop();
  clearTimeout(mine.late);
  clearInterval(mine.timer);
  if (mine.peer) mine.peer.close();
  if (mine.path) {
    fetch(mine.path, { method: "DELETE", headers: { authorization: mine.token }, keepalive: true }).catch(() => {});
  }
}

function finish(text, kind = "") {
  if (call) drop(call);
  call = null;
  byId("place").disabled = false;
  byId("end").hidden = true;
  say(text, kind);
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  place();
});
byId("end").addEventListener("click", () => finish("You hung up."));
byId("hear").addEventListener("change", () => { byId("echo").muted = !byId("hear").checked; });
addEventListener("pagehide", () => call && drop(call));
