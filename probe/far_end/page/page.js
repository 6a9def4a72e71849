// The page's one button. For tests, and for the console: `callreach.call` is the last call (call.js), with its
// `connection` (an RTCPeerConnection), `seen` (its last getStats as a list) and `heard` (the server's log).

import { Call, Trouble, until } from "./call.js";
import { figures, milliseconds, share, summary } from "./figures.js";

const STATES = {
  sound: "Waiting for the sound…",
  asking: "Asking the server…",
  gathering: "Looking for ways out of here…",
  checking: "Trying the way to the server…",
  keys: "The way is open; agreeing on keys…",
  up: "Connected.",
};
const SILENT = 3; // seconds without a packet after which it is said

const at = (id) => document.getElementById(id);
const button = at("call");
globalThis.callreach = { call: null };
let current = null;
let stopped = false;

at("key").value = decodeURIComponent(location.hash.slice(1)); // as in the URL that `probe` takes: https://HOST/#KEY

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!current) dial();
  else hangUp();
});
addEventListener("pagehide", () => current?.leave());

function hangUp() {
  stopped = true;
  button.disabled = true;
  current.stop();
}

async function dial() {
  const chosen = { key: at("key").value.trim(), way: at("way").value, setup: at("setup").value };
  const wanted = { ...chosen, microphone: at("microphone").checked };
  const call = new Call(wanted, (state) => say(STATES[state]), (stream) => play(stream, wanted.microphone));
  const watched = { began: null, seconds: 0, silence: { from: 0, seconds: 0 } };
  [globalThis.callreach.call, current, stopped] = [call, call, false];
  button.textContent = "Hang up";
  at("trouble").textContent = "";
  at("figures").hidden = true;
  let trouble = "";
  try {
    await call.place();
    watched.began = performance.now();
    at("figures").hidden = false;
    trouble = await watch(call, watched);
  } catch (error) {
    if (!stopped) trouble = sentence(error);
  }
  await finish(call, watched, trouble);
}

/** Look on each second until the call is over; resolves to why, if nobody here wanted that. */
async function watch(call, watched) {
  let arrived = -1;
  for (;;) {
    await call.look();
    watched.seconds = (performance.now() - watched.began) / 1000;
    const result = figures(call.seen, call.heard, false);
    if (result.down.arrived !== arrived) watched.silence.from = watched.seconds;
    arrived = result.down.arrived;
    watched.silence.seconds = watched.seconds - watched.silence.from;
    show(result, watched.seconds);
    if (stopped) return "";
    say(watched.silence.seconds < SILENT ? STATES.up : "Connected, but nothing comes back.");
    if (call.heard?.ended) return `The server ended the call; it allows ${call.most} s at most.`;
    if (call.isLost) return "The connection was lost.";
    await until([], "", () => false, 1000, call.stopped.signal);
  }
}

async function finish(call, watched, trouble) {
  button.disabled = true;
  say("Hanging up…");
  const told = await call.end().catch(() => false);
  at("sound").srcObject = null;
  at("trouble").textContent = trouble;
  if (watched.began === null) {
    say("Not connected.");
  } else {
    const result = figures(call.seen, told ? call.heard : null, true);
    show(result, watched.seconds);
    say(summary(result, { ...watched.silence, from: Math.round(watched.silence.from) }));
  }
  button.textContent = "Call";
  button.disabled = false;
  current = null;
}

function sentence(error) {
  if (!(error instanceof Trouble)) return `This browser cannot place the call (${error.message}).`;
  if (error.status === 401) {
    at("choices").open = true;
    at("key").focus();
  }
  return error.message;
}

function say(text) {
  if (at("state").textContent !== text) at("state").textContent = text; // said once, also to those who hear the page
}

function play(stream, aloud) {
  at("sound").muted = !aloud;
  at("sound").srcObject = stream;
}

function show(result, seconds) {
  const { up, down } = result;
  const texts = {
    "up-arrived": up.arrived ?? "–",
    "up-lost": share(up.lost, (up.arrived ?? 0) + (up.lost ?? 0)),
    "up-jitter": milliseconds(up.jitter),
    "down-arrived": down.arrived,
    "down-lost": share(down.lost, down.arrived + (down.lost ?? 0)),
    "down-jitter": milliseconds(down.jitter),
    sent: `${result.sent} packets`,
    "round-trip": milliseconds(result.roundTrip),
    time: `${Math.round(seconds)} s`,
    taken: result.way ?? "–",
    hello: result.hello ?? "–",
  };
  for (const [id, text] of Object.entries(texts)) at(id).textContent = text;
}
