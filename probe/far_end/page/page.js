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
const REASONS = { time: ": it allows no longer ones", octets: ": it allows no more bytes" };
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
  else if (!stopped) hangUp();
});
addEventListener("pagehide", () => current?.leave());

function hangUp() {
  stopped = true;
  current.stop();
}

async function dial() {
  const chosen = { key: at("key").value.trim(), way: at("way").value, setup: at("setup").value };
  const wanted = { ...chosen, microphone: at("microphone").checked };
  const call = new Call(wanted, (state) => say(STATES[state]), (stream) => play(stream, wanted.microphone));
  const watched = { began: null, seconds: 0, cut: null };
  [globalThis.callreach.call, current, stopped] = [call, call, false];
  button.textContent = "Hang up";
  at("wanted").disabled = true;
  at("trouble").textContent = "";
  at("figures").hidden = true;
  let trouble = null;
  try {
    await call.place();
    watched.began = performance.now();
    at("figures").hidden = false;
    trouble = await watch(call, watched);
  } catch (error) {
    if (!stopped) trouble = error;
  }
  await finish(call, watched, trouble);
}

/** Look on each second until the call is over; resolves to why, or to null if that was wanted here. */
async function watch(call, watched) {
  for (;;) {
    const told = await call.look();
    watched.seconds = (performance.now() - watched.began) / 1000;
    let result = figures(call.seen, call.heard, false);
    const silence = result.silence ?? watched.seconds;
    watched.cut = silence < SILENT ? null : Math.round(watched.seconds - silence);
    // No gap shows what is lost after the last packet that arrived; and so late nothing is on its way any more.
    if (watched.cut !== null) result = figures(call.seen, told ? call.heard : null, true);
    show(result, watched.seconds);
    if (stopped) return null;
    say(watched.cut === null ? STATES.up : "Connected, but nothing comes back.");
    if (call.heard?.ended) return new Trouble(`The server ended the call${REASONS[call.heard.ended] ?? ""}.`);
    if (call.isLost) return new Trouble("The connection was lost.");
    await until([], "", () => false, 1000, call.stopped.signal);
  }
}

async function finish(call, watched, trouble) {
  stopped = true;
  button.setAttribute("aria-disabled", "true"); // and not disabled, which would take the focus away
  say("Hanging up…");
  const told = await call.end().catch(() => false);
  at("sound").srcObject = null;
  if (watched.began === null) {
    say("Not connected.");
  } else {
    const result = figures(call.seen, told ? call.heard : null, true);
    show(result, watched.seconds);
    say(summary(result, watched.cut));
  }
  button.textContent = "Call";
  button.removeAttribute("aria-disabled");
  at("wanted").disabled = false;
  current = null;
  if (trouble) complain(trouble);
}

function complain(trouble) {
  const isKnown = trouble instanceof Trouble;
  at("trouble").textContent = isKnown ? trouble.message : `This browser cannot place the call (${trouble.message}).`;
  if (trouble.status === 401) {
    at("choices").open = true;
    at("key").focus();
  }
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
