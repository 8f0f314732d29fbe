// Joins the parts: what arrives, what is shown, and whether it may be called live.

import { Events, Pictures } from "./connection.js";
import { Faces } from "./faces.js";
import { Health } from "./health.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";

const FROZEN_S = 2;
const RETRY_MS = 1000;
const RECENT = 60; // results kept to be matched with their pictures
const STALLED_MS = 8000; // results but no picture for so long: its connection is dead and nobody said so
const ASK_MS = 5000;
const SAY_MS = 1500; // between two announcements to a screen reader
const MODES = { picture: "", blurred: "Blurred", boxes: "Boxes only", off: "Picture off" };
const CONNECTING = ["Connecting", ""];
const REFUSED = {
  401: ["This page needs its token", "Open the address that fer-edge wrote to its log, or load this page again to enter it."],
  503: ["Four viewers are watching already", "This page joins as soon as one leaves."],
};

const $ = (id) => document.getElementById(id);
const stage = new Stage($("stage"));
const faces = new Faces($("faces"));
const timeline = new Timeline($("timeline"));
const health = new Health($("numbers"), $("stages"), $("sinks"));

let events = null;
let pictures = null;
let labels = {};
let run = "";
let status = null;
let mode = null;
let version = null; // of the fer-edge that this page's scripts came from
let replay = false; // events of another time: nothing of it is live
let newest = null; // { event, view, at }: the newest result, and when it arrived
let pictured = null; // when the picture that is shown arrived
let since = performance.now(); // when we began to wait for what the mode shows
let trouble = CONNECTING; // why nothing comes, where we know
const recent = new Map();

const isPictured = () => mode === "picture" || mode === "blurred";

const handlers = {
  hello(hello) {
    if (version !== null && version !== hello.version) return location.reload();
    version = hello.version;
    labels = hello.labels;
    faces.clear();
    health.clear();
    announcer.stable.clear();
    replay = Boolean(hello.replay);
    timeline.begin(hello.history, hello.span_s);
    $("device").textContent = hello.device;
    run = hello.run;
    document.title = `${hello.device} · fer-edge`;
    since = performance.now();
    trouble = null;
    recent.clear();
    mode = null; // the stream of pictures may have broken without a word, as that of events did
    handlers.status(hello);
  },

  result({ event, view }) {
    newest = { event, view, at: performance.now() };
    recent.set(event.seq, newest);
    if (recent.size > RECENT) recent.delete(recent.keys().next().value);
    const time = Date.parse(event.time) / 1000;
    faces.show(event.faces, labels, time);
    timeline.add(event.faces, time);
    health.take(event);
    announcer.hear(event.faces);
    if (!isPictured()) mark(newest);
    else if (event.seq === stage.seq) mark(newest);
  },

  status(now) {
    status = { ...now, at: performance.now() };
    choose(now.mode);
    check(now.mode);
    $("about").textContent = [$("device").textContent, `run ${run}`, now.detector, now.model, `fer-edge ${version}`].filter(Boolean).join(" · ");
    for (const input of $("privacy").elements) if (input.value) input.closest("label").hidden = !now.modes.includes(input.value);
    showRecording(now.recording);
  },

  bye() {
    trouble = ["fer-edge has stopped", "The page goes on by itself when it runs again."];
  },

  lost(code) {
    trouble = REFUSED[code] ?? (trouble?.[0].startsWith("fer-edge") ? trouble : ["Connection lost", "Trying again."]);
  },
};

function mark({ event, view }) {
  stage.mark(event.faces, view ?? [0, 0, event.frame.width, event.frame.height], labels);
}

function choose(next) {
  if (next === mode) return;
  mode = next;
  pictured = null;
  stage.clear();
  stage.element.dataset.mode = mode;
  $("mode").textContent = MODES[mode];
  $("mode").hidden = !MODES[mode];
  watch();
}

function watch() {
  since = performance.now();
  pictures?.close();
  pictures = isPictured() ? new Pictures("/stream.mjpg?raw", show) : null;
}

function check(which) {
  const input = $("privacy").querySelector(`[value="${which}"]`);
  if (input) input.checked = true;
}

function show(seq, bitmap) {
  stage.draw(seq, bitmap);
  pictured = performance.now();
  const result = recent.get(seq);
  if (result) mark(result);
}

function showRecording(recording) {
  $("recording").hidden = !recording;
  if (!recording) return;
  const { name, style, frames, error } = recording;
  $("recording").dataset.state = error ? "frozen" : "recording";
  $("recording").lastElementChild.textContent = error ? `Recording ended: ${error}` : `Recording ${name} (${style}, ${frames} frames)`;
}

// Nothing that is old may look live: what is shown, and how old it is.
function judge() {
  const now = performance.now();
  if (pictures && newest && now - newest.at < RETRY_MS && now - Math.max(pictured ?? 0, since) > STALLED_MS) watch();
  const shown = isPictured() ? pictured : (newest?.at ?? null);
  const quiet = (now - (shown ?? since)) / 1000;
  const silent = status ? Math.max(status.silent_s ?? 0, 0) + (now - status.at) / 1000 : 0;
  const waited = shown === null ? Math.max(quiet, silent) : quiet;
  const seconds = `${waited.toFixed(waited < 10 ? 1 : 0)} s`;
  let state = "live";
  let words = replay ? "Replay" : "Live";
  if (trouble) {
    state = trouble === CONNECTING ? "connecting" : "lost";
    words = trouble[0];
    stage.say(true, ...trouble);
  } else if (waited > FROZEN_S) {
    state = "frozen";
    words = `Frozen for ${seconds}`;
    stage.say(true, shown === null ? `No picture for ${seconds}` : `Frozen: this picture is ${seconds} old`, status?.trouble ?? "");
  } else if (mode === "off") {
    stage.say(false, "The picture is off", "What faces show is still read.");
  } else {
    stage.say(false, shown === null ? "Waiting for the first picture" : "");
  }
  $("privacy").disabled = trouble !== null;
  const pill = $("state");
  if (state === "live" && status?.frames_per_s) words += ` · ${status.frames_per_s.toFixed(0)} frames/s`;
  pill.dataset.state = state;
  pill.lastElementChild.textContent = words;
  document.body.classList.toggle("stale-data", state !== "live");
  announcer.state(state);
  const from = isPictured() ? (recent.get(stage.seq)?.at ?? pictured) : newest?.at;
  const age = newest && from ? newest.event.age_ms + (now - from) : null;
  $("age").hidden = age === null || mode === "off" || replay;
  if (age !== null) $("age").textContent = age < 1000 ? `${Math.round(age)} ms old` : `${(age / 1000).toFixed(1)} s old`;
}

function drawSlowly() {
  health.draw(status, trouble === null);
  $("health-title").textContent = trouble && status ? "Health, when last heard of" : "Health";
  if (newest) timeline.draw(Date.parse(newest.event.time) / 1000 + (performance.now() - newest.at) / 1000, labels);
}

// Tells a screen reader what changed, in few words and not too often.
const announcer = {
  stable: new Map(),
  pending: new Map(),
  was: "connecting",
  last: 0,

  hear(seen) {
    const ids = new Set(seen.map((face) => face.id));
    for (const id of this.stable.keys()) if (!ids.has(id)) this.stable.delete(id);
    for (const face of seen) {
      if (face.stable in labels && this.stable.get(face.id) !== face.stable) this.pending.set(face.id, `Face ${face.id}: ${face.stable}`);
      this.stable.set(face.id, face.stable);
    }
  },

  state(state) {
    if (state === this.was) return;
    const words = { frozen: "The picture is frozen", lost: trouble?.[0], live: this.was === "connecting" ? "" : "Live again" };
    if (words[state]) this.pending.set("state", words[state]);
    this.was = state;
  },

  say() {
    if (!this.pending.size || performance.now() - this.last < SAY_MS) return;
    this.last = performance.now();
    $("announcer").textContent = [...this.pending.values()].join(". ");
    this.pending.clear();
  },
};

async function ask(next) {
  try {
    if ((await fetch("/privacy", { method: "POST", body: next, signal: AbortSignal.timeout(ASK_MS) })).ok) return;
  } catch {}
  // Nothing may say that the picture is off while it is not.
  check(mode);
  announcer.pending.set("privacy", "What is shown has not changed");
}

// Nobody looks at a hidden page, so it costs nothing.
function attend() {
  if (document.hidden) {
    events?.close();
    pictures?.close();
    events = pictures = mode = null;
  } else if (!events) {
    trouble = CONNECTING;
    events = new Events("/events", handlers);
  }
}

$("privacy").addEventListener("change", (event) => ask(event.target.value));
$("fullscreen").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : stage.element.requestFullscreen()));
$("fullscreen").hidden = !document.fullscreenEnabled;
document.addEventListener("visibilitychange", attend);
setInterval(judge, 200);
setInterval(drawSlowly, 500);
setInterval(() => announcer.say(), 250);
attend();
