// One voice call to the server this page came from: docs/far-end.md is its API, WHIP (RFC 9725) how a call is placed.

const ANSWER = 10_000; // milliseconds for an answer over HTTPS
const GATHER = { "": 3_000, direct: 3_000, udp: 10_000, tcp: 10_000, tls: 10_000 }; // for addresses to be called at
const CONNECT = 20_000; // for ICE and DTLS together
const LAST = 1_500; // for what is still on its way when we send no more
const GLANCE = 100;
const PATIENCE = 500; // for the server's log while a call goes on

/** What went wrong, in one sentence for people; `status` is HTTP's where a request was refused. */
export class Trouble extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }
}

/**
 * A call: `place`, then `look` now and then, and in any case `end`; `stop` makes whatever waits give up.
 *
 * `wanted` is {key, way, setup, microphone} as the page's form has them. `tell` is called with "sound", "asking",
 * "gathering", "checking", "keys" and "up" as the call gets there, `play` with what comes back. `seen` is the last
 * getStats as a list, `heard` what the server last said that it heard, null before that; in what the server says,
 * a field that has its default is left out.
 */
export class Call {
  constructor(wanted, tell, play) {
    this.wanted = wanted;
    this.tell = tell;
    this.play = play;
    this.seen = [];
    this.heard = null;
    this.connection = null;
    this.hearing = null;
    this.token = "";
    this.path = "";
    this.stopped = new AbortController();
    this.letGo = () => {};
  }

  /** Until media flows. Rejects with Trouble. */
  async place() {
    if (!globalThis.RTCPeerConnection) throw new Trouble("This browser has no WebRTC, or it is switched off.");
    this.tell("sound");
    const { track, letGo } = await (this.wanted.microphone ? microphone() : testSound());
    this.letGo = letGo;
    this.tell("asking");
    const session = await this.ask("POST", "/v1/session", JSON.stringify({ key: this.wanted.key }));
    const welcome = JSON.parse(session.text);
    if (welcome.webrtc === false) throw new Trouble("This server takes no calls.");
    this.token = welcome.token;
    this.connection = new RTCPeerConnection(ways(welcome.turn, this.wanted.way));
    this.connection.addEventListener("track", (event) => this.play(new MediaStream([event.track])));
    this.sender = this.connection.addTrack(track, new MediaStream([track]));
    await this.signal();
    await this.connected();
    this.tell("up");
  }

  stop() {
    this.stopped.abort();
  }

  get isLost() {
    return ["failed", "closed"].includes(this.connection.connectionState);
  }

  /** What this browser has seen, and what the server has heard if it soon says so. Resolves to whether it did. */
  async look() {
    this.hearing ??= this.hear("GET").finally(() => (this.hearing = null));
    const told = await Promise.race([this.hearing, until([], "", () => false, PATIENCE)]);
    await this.glance();
    return told === true;
  }

  async glance() {
    this.seen = [...(await this.connection.getStats()).values()];
  }

  /** Send no more, wait for what is on its way, hang up. Resolves to whether the server said what it heard. */
  async end() {
    let told = false;
    if (this.connection) {
      await this.sender.replaceTrack(null);
      for (let waited = 0; waited < LAST; waited += GLANCE) {
        await this.glance();
        const [sent, back] = [count(this.seen, "outbound-rtp", "Sent"), count(this.seen, "inbound-rtp", "Received")];
        if (back >= sent) break;
        await until([], "", () => false, GLANCE);
      }
      this.stopped = new AbortController(); // the log is asked for even by those who were told to stop
      told = this.path !== "" && (await this.hear("DELETE"));
      this.connection.close();
    }
    this.letGo();
    return told;
  }

  /** Ask for the server's log. Resolves to whether it came. */
  async hear(method) {
    const heard = await this.ask(method, this.path).catch(() => null);
    if (heard) this.heard = JSON.parse(heard.text);
    return heard !== null;
  }

  /** The page is being left: nobody waits for an answer. */
  leave() {
    if (!this.path) return;
    const headers = { authorization: `Bearer ${this.token}` };
    fetch(this.path, { method: "DELETE", headers, keepalive: true }).catch(() => {});
  }

  async signal() {
    const { connection, wanted } = this;
    this.tell("gathering");
    let refused = "";
    connection.addEventListener("icecandidateerror", (event) => {
      refused = ` (${event.errorCode}: ${event.errorText.replace(/\.$/, "")})`;
    });
    await connection.setLocalDescription();
    const isDone = () => connection.iceGatheringState === "complete";
    await until([connection], "icegatheringstatechange", isDone, GATHER[wanted.way], this.stopped.signal);
    const offer = connection.localDescription.sdp;
    if (isRelay(wanted.way) && !offer.includes("a=candidate:")) {
      throw new Trouble(`The relay gave us no address over ${wanted.way.toUpperCase()}${refused}.`);
    }
    const query = wanted.setup ? `?setup=${wanted.setup}` : "";
    const answer = await this.ask("POST", `/v1/whip${query}`, offer, "application/sdp");
    this.path = answer.location;
    await connection.setRemoteDescription({ type: "answer", sdp: answer.text });
  }

  async connected() {
    const { connection, wanted } = this;
    const isOpen = () => ["connected", "completed"].includes(connection.iceConnectionState);
    const look = () => {
      if (connection.connectionState === "connected" || this.isLost) return true;
      this.tell(isOpen() ? "keys" : "checking");
      return false;
    };
    await until([connection], "iceconnectionstatechange connectionstatechange", look, CONNECT, this.stopped.signal);
    if (connection.connectionState === "connected") return;
    if (isOpen()) throw new Trouble("A way to the server is open, but the DTLS handshake over it was not completed.");
    const from = isRelay(wanted.way) ? "from the relay " : "";
    throw new Trouble(`No way ${from}to the server is open: packets do not get there, or do not come back.`);
  }

  async ask(method, path, body, kind = "application/json") {
    const headers = body ? { "content-type": kind } : {};
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const limit = new AbortController();
    const stop = () => limit.abort();
    const timer = setTimeout(stop, ANSWER);
    const { signal } = this.stopped;
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    try {
      const answer = await fetch(path, { method, headers, body, cache: "no-store", signal: limit.signal });
      const text = await answer.text();
      if (answer.ok) return { text, location: answer.headers.get("location") ?? "" };
      throw refusal(answer.status, text);
    } catch (error) {
      throw error instanceof Trouble ? error : new Trouble("The server does not answer over HTTPS.");
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }
}

/** Resolves when `isDone` says so, which is asked at each event, or after `time` ms; rejects when stopped. */
export function until(targets, events, isDone, time, signal) {
  return new Promise((resolve, reject) => {
    const names = events.split(" ");
    const look = () => isDone() && leave(resolve);
    const stop = () => leave(reject);
    const timer = setTimeout(() => leave(resolve), time);
    function leave(how) {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
      for (const target of targets) for (const name of names) target.removeEventListener(name, look);
      how(new Trouble("Stopped."));
    }
    signal?.addEventListener("abort", stop);
    for (const target of targets) for (const name of names) target.addEventListener(name, look);
    if (signal?.aborted) stop();
    else look();
  });
}

/** packetsSent or packetsReceived of the one RTP stream of a type; 0 before there is one. */
function count(seen, type, what) {
  return seen.find((one) => one.type === type)?.[`packets${what}`] ?? 0;
}

function refusal(status, text) {
  try {
    const { reason, retry } = JSON.parse(text);
    const again = retry ? ` Ask again in ${Math.ceil(retry)} s.` : "";
    return new Trouble(`The server refuses: ${reason}.${again}`, status);
  } catch {
    return new Trouble(`The server refuses, with status ${status}.`, status);
  }
}

function isRelay(way) {
  return way !== "" && way !== "direct";
}

/** The configuration of an RTCPeerConnection for a way, given the TURN server beside the far end if there is one. */
function ways(turn, way) {
  if (way === "direct" || (!turn && !isRelay(way))) return {};
  const host = turn?.host.includes(":") ? `[${turn.host}]` : turn?.host;
  const kinds = ["udp", "tcp", "tls"].filter((kind) => turn?.[kind] && (!way || kind === way));
  const urls = kinds.map((kind) => {
    const scheme = kind === "tls" ? "turns" : "turn";
    return `${scheme}:${host}:${turn[kind]}?transport=${kind === "udp" ? "udp" : "tcp"}`; // RFC 7065
  });
  if (!urls.length) throw new Trouble(`There is no relay over ${way.toUpperCase()} beside this server.`);
  const iceServers = [{ urls, username: turn.username, credential: turn.password }];
  return { iceServers, iceTransportPolicy: way ? "relay" : "all" };
}

async function microphone() {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const [track] = stream.getAudioTracks();
    return { track, letGo: () => track.stop() };
  } catch (error) {
    const isDenied = error.name === "NotAllowedError";
    throw new Trouble(isDenied ? "The microphone was not allowed." : "There is no microphone.");
  }
}

/** A voice-like sound: a buzz of changing pitch, in syllables. */
async function testSound() {
  const context = new AudioContext();
  await context.resume();
  const buzz = new OscillatorNode(context, { type: "sawtooth", frequency: 140 });
  const tune = new OscillatorNode(context, { frequency: 0.7 });
  const syllables = new OscillatorNode(context, { frequency: 3 });
  const loud = new GainNode(context, { gain: 0.15 });
  const sink = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  tune.connect(new GainNode(context, { gain: 40 })).connect(buzz.frequency);
  syllables.connect(new GainNode(context, { gain: 0.1 })).connect(loud.gain);
  buzz.connect(loud).connect(sink);
  for (const one of [buzz, tune, syllables]) one.start();
  return { track: sink.stream.getAudioTracks()[0], letGo: () => context.close() };
}
