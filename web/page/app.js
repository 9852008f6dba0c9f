// The page: starts Python in a worker, plays a team, and shows it. It only draws and asks; all that
// is decided is decided in the worker.
import { openBridge } from "./bridge.js";
import { byId, h, icon, plural, prose } from "./dom.js";
import { Feed, PLAIN_RULE, drawBoard } from "./feed.js";
import { Stage } from "./stage.js";
import { DOING, Story } from "./story.js";

// -- how the start is going ----------------------------------------------------------------------

const PARTS = { "pyodide.asm.wasm": 45, "python_stdlib.zip": 20, "pyodide.asm.mjs": 10 };
let reached = 0;

function progress(told) {
  switch (told.phase) {
    case "file":
      return booted(reached + (PARTS[told.name] ?? (told.name.endsWith(".whl") ? 4 : 1)));
    case "pyodide-ready":
      performance.mark("pyodide-ready");
      return booted(85, "Loading meerkat-mob…");
    case "ready":
      byId("runtime").textContent = `Python ${told.python} · Pyodide ${told.pyodide} · meerkat-mob ${told.ours}`;
      return first();
    case "failed":
      return broken(told.error);
  }
}

function booted(percent, text) {
  reached = Math.max(reached, Math.min(percent, 98));
  byId("bar")?.setAttribute("aria-valuenow", Math.round(reached));
  byId("bar")?.style.setProperty("--done", reached / 100);
  if (text && byId("boot")) byId("boot-text").textContent = text;
}

function broken(error) {
  byId("boot")?.remove();
  const told = String(error).trim().split("\n").at(-1);
  outcome("failed", "Python could not be started in this tab", [
    h("p", {}, told),
    h("p", {}, "Load the page again. If that does not help, try a current Chrome, Edge, Firefox or Safari."),
  ]);
}

// -- the team -------------------------------------------------------------------------------------

const call = openBridge({ heard, progress });
const stage = new Stage(byId("stage"), { chosen: choose });
const feed = new Feed(byId("feed"), { jump: byId("jump") });

/** What is shown: the team as loaded, the mob that is open (null until one is), and its story. */
const now = { team: null, mob: null, story: null, phase: "starting", round: 0, spent: 0, task: "" };

function first() {
  booted(95, "Loading the team…");
  return example();
}

async function example() {
  const option = byId("example").selectedOptions[0];
  if (option.file) return load(option.file.name, async () => option.file);
  byId("task").value = option.dataset.task;
  await load(option.value.split("/").pop(), async () => {
    const answer = await fetch(option.value);
    if (!answer.ok) throw new Error(`${option.value} is not there (${answer.status})`);
    return answer.blob();
  });
}

/** A team from a file: read in the worker, opened with its members, ready for a task. */
async function load(name, read) {
  if (now.phase === "running") await stop();
  enter("loading");
  byId("outcome").hidden = true;
  byId("findings").replaceChildren();
  try {
    const team = await call("team/load", { name, data: await base64(await read()) });
    Object.assign(now, { team, mob: null });
    show(new Story(team));
    told(team);
    await open({ kind: "scripted", pace_ms: Number(byId("pace").value) });
    performance.mark("mob-ready");
    enter("ready");
    return true;
  } catch (error) {
    findings(error, name);
    enter(now.mob ? "ready" : "empty");
    return false;
  }
}

async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: () => reject(reader.error) });
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

/** A fresh mob of the loaded team. Its voice decides who answers for the members. */
async function open(voice) {
  now.mob = null;
  now.mob = { ...(await call("team/open", { voice })), voice, fresh: true };
  now.spent = 0;
  show(new Story(now.team));
}

function told(team) {
  byId("to").replaceChildren(...team.members.map(({ member }) => h("option", { value: member, selected: member === team.lead }, member)));
  byId("board-panel").hidden = !team.members.some(({ tools }) => tools.includes("mob_tasks"));
  if (team.warnings.length) byId("findings").replaceChildren(list(`${plural(team.warnings.length, "note")} about this team`, team.warnings, "warning"));
  choose(null);
}

function list(title, found, severity) {
  const items = found.map(({ code, message, location }) =>
    h("li", {}, h("code", {}, code), location && [" at ", h("code", {}, location)], h("p", {}, message)),
  );
  return h("details", { class: `findings ${severity}`, open: severity === "error" }, h("summary", {}, icon("alert"), title), h("ul", {}, ...items));
}

function findings(error, name) {
  const found = error.data?.diagnostics ?? [{ code: error.code ?? "ERROR", message: error.message }];
  const errors = found.filter(({ severity }) => severity !== "warning");
  byId("findings").replaceChildren(list(`${name} cannot be played: ${plural(errors.length, "fault")}`, found, "error"));
}

function show(story) {
  now.story = story;
  stage.show(story);
  stage.choose(feed.chosen);
  feed.show(story);
  dirty.entries.clear();
  drawBoard(byId("board"), story);
  byId("empty").hidden = false;
}

/** One member stands out, is told about, and is written to. */
function choose(member) {
  const same = member === feed.chosen;
  const chosen = same ? null : member;
  feed.choose(chosen);
  stage.choose(chosen);
  const seat = now.team?.members.find((m) => m.member === chosen);
  const tools = seat?.tools.map((tool) => ({ builtins: "date and time", comms: "messages", mob_tasks: "task board" })[tool] ?? tool);
  byId("detail").replaceChildren(
    ...(seat
      ? [h("b", {}, seat.member), ` ${seat.description || seat.profile}. `, h("span", {}, `Model ${now.mob?.voice.model ?? (now.mob?.voice.kind === "built-in" ? "of the browser" : seat.model)}; tools: ${tools.join(", ") || "none"}.`)]
      : [now.team?.description || `${plural(now.team?.members.length ?? 0, "member")}, led by ${now.team?.lead}. Choose one to see what it did.`]),
  );
  byId("filter").replaceChildren(...(chosen ? [h("button", { class: "chip", type: "button", onclick: () => choose(null) }, `only ${chosen} ✕`)] : []));
  if (chosen) byId("to").value = chosen;
}

// -- what happens -----------------------------------------------------------------------------------

const dirty = { entries: new Set(), sent: [], board: false, asked: false };

function heard(method, params) {
  if (method !== "mob/stream_event" || params.stream_id !== now.mob?.stream_id) return;
  const { changed, sent } = now.story.apply(params.event);
  changed.forEach((entry) => dirty.entries.add(entry));
  dirty.sent.push(...sent);
  dirty.board ||= Boolean(params.event.kind);
  soon();
}

/** Draws once for all that happened since the last frame. */
function soon() {
  if (dirty.asked) return;
  dirty.asked = true;
  requestAnimationFrame(() => {
    dirty.asked = false;
    if (dirty.entries.size) byId("empty").hidden = true;
    feed.draw(dirty.entries);
    dirty.entries.clear();
    dirty.sent.splice(0).forEach((message) => stage.send(message));
    stage.update();
    if (dirty.board) drawBoard(byId("board"), now.story);
    dirty.board = false;
    if (now.phase === "running") status();
  });
}

const ALL = new Intl.ListFormat("en");

function status() {
  const busy = new Map();
  for (const { id, doing } of now.story.seats.values()) if (doing !== "idle") busy.set(doing, [...(busy.get(doing) ?? []), id]);
  const words = [...busy].map(([doing, ids]) => `${ALL.format(ids)} ${ids.length > 1 ? "are" : "is"} ${DOING[doing]}`);
  byId("outcome-title").textContent = words.join("; ") || "Waiting for the team";
  figures();
}

function figures() {
  const { total } = now.story;
  if (now.phase === "running") now.spent = performance.now() - now.began;
  const tokens = total.tokens && total.tokens.toLocaleString("en") + (total.partly && now.phase !== "running" ? "+" : "");
  const rows = [
    ["seconds", (now.spent / 1000).toFixed(1)],
    ["turns", total.turns.toLocaleString("en")],
    ["messages", total.messages.toLocaleString("en")],
    ["tool calls", total.tools.toLocaleString("en")],
    [now.mob?.voice.kind === "scripted" ? "tokens, estimated" : "tokens", tokens ?? (total.turns ? "unknown" : "0")],
  ];
  byId("figures").replaceChildren(...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

// -- asking -----------------------------------------------------------------------------------------

function enter(phase) {
  now.phase = phase;
  document.body.dataset.phase = phase;
  const [running, able] = [phase === "running", now.team !== null && !["starting", "loading", "empty"].includes(phase)];
  const focused = [byId("run"), byId("stop")].includes(document.activeElement);
  byId("run").hidden = running;
  byId("stop").hidden = !running;
  byId("run").disabled = !able;
  for (const id of ["example", "pick"]) byId(id).disabled = ["starting", "loading"].includes(phase);
  byId("run").lastElementChild.textContent = now.mob && !now.mob.fresh ? "Run again" : "Run";
  const live = Boolean(now.mob) && able;
  for (const id of ["to", "text", "send"]) byId(id).disabled = !live;
  if (focused) byId(running ? "stop" : "run").focus();
  byId("export").hidden = !["answered", "stopped", "failed"].includes(phase) || !now.mob;
}

function outcome(kind, title, body = []) {
  const badges = { running: "Working", answered: "Answer", stopped: "Stopped", failed: "Problem" };
  byId("outcome").hidden = false;
  byId("outcome").className = `panel outcome ${kind}`;
  byId("outcome-badge").textContent = badges[kind];
  byId("outcome-title").textContent = title;
  byId("answer").replaceChildren(...body.filter(Boolean));
}

function voice() {
  const kind = document.forms.ask.elements.voice.value;
  if (kind === "scripted") return { kind, pace_ms: Number(byId("pace").value) };
  if (kind === "built-in") return { kind };
  const key = byId("api-key").value.trim();
  return { kind: "server", base_url: byId("base-url").value.trim(), model: byId("model").value.trim(), ...(key && { api_key: key }) };
}

async function run(event) {
  event.preventDefault();
  const task = byId("task").value.trim();
  if (!task || now.phase === "running" || byId("run").disabled) return byId("task").focus();
  now.task = task;
  byId("findings").querySelector(".error")?.remove();
  const chosen = voice();
  await asking(now.team.lead, task, async (isNow) => {
    if (chosen.kind === "built-in") {
      await own.ready((share) => isNow() && loading(share));
      if (!isNow()) return null;
      outcome("running", "Getting ready…");
    }
    if (!now.mob?.fresh || JSON.stringify(now.mob.voice) !== JSON.stringify(chosen)) await open(chosen);
    return () => call("team/start", { task });
  });
}

function loading(share) {
  outcome("running", "Downloading the browser’s model…", [h("progress", { value: share })]);
}

async function say(event) {
  event.preventDefault();
  const [member, text] = [byId("to").value, byId("text").value.trim()];
  if (!text) return;
  byId("text").value = "";
  await asking(member, text, async () => () => call("team/say", { member, text }));
}

/** Asks, and shows how it ends. What is said while the team works joins its work. */
async function asking(member, text, prepare) {
  const joins = now.phase === "running";
  const round = joins ? now.round : ++now.round;
  const isNow = () => round === now.round && !joins;
  if (!joins) {
    now.began = performance.now() - now.spent;
    enter("running");
    outcome("running", "Getting ready…");
    figures();
  }
  try {
    const ask = await prepare(isNow);
    if (!joins && !isNow()) return; // it was stopped before it began
    now.mob.fresh = false;
    if (!joins) now.began = performance.now() - now.spent;
    dirty.entries.add(now.story.ask(member, text));
    soon();
    const played = await ask();
    if (isNow()) ended(played);
  } catch (error) {
    if (isNow()) failed(error);
    else if (joins && round === now.round) noted(error);
  }
}

function ended({ status: how, ...result }) {
  if (how === "stopped") return stopped();
  const { member, text } = (now.result = result);
  figures();
  enter("answered");
  const byRule = PLAIN_RULE.test(text) && h("p", { class: "soft" }, "Said by the plain offline rule, which needs no model and understands nothing.");
  outcome("answered", `${member} answers`, [...prose(now.story.plain(text).replace(PLAIN_RULE, "")), ...(byRule ? [byRule] : [])]);
  byId("to-answer").hidden = now.seen;
}

async function stop() {
  const round = now.round;
  byId("outcome-title").textContent = "Stopping…";
  await call("team/stop").catch(() => {});
  if (round === now.round) stopped();
}

function stopped() {
  if (now.phase !== "running") return;
  now.round += 1;
  figures();
  enter("stopped");
  outcome("stopped", "You stopped the team", [h("p", {}, "Nothing is lost: write to a member and the team goes on, or run it again from the start.")]);
}

const TITLES = {
  PROVIDER_UNREACHABLE: "The model server could not be reached",
  PROVIDER_ERROR: "The model did not answer as hoped",
  PROVIDER_KEY_MISSING: "The model server wants a key",
  CAPABILITY_UNAVAILABLE: "This is not possible in a browser tab",
  SKILL_MISSING: "A skill of this team is missing",
  NO_ANSWER: "The team is done, and gave no answer",
  INVALID_PARAMS: "Something is missing",
  INTERNAL_ERROR: "This page has a fault",
};

function failed(error) {
  const { detail, url, hint } = error.data ?? {};
  figures();
  enter("failed");
  outcome("failed", TITLES[error.code] ?? "That did not work", [
    h("p", {}, sentence(detail ?? error.message)),
    hint && detail && h("p", {}, sentence(hint)),
    h("p", { class: "code" }, [error.code ?? error.name, url].filter(Boolean).join(" · ")),
  ]);
}

function noted(error) {
  dirty.entries.add(now.story.add("fault", null, { text: error.message }));
  soon();
}

const sentence = (text) => (/^\w+:\/\//.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1)) + (/[.!?]$/.test(text) ? "" : ".");

// -- taking it along --------------------------------------------------------------------------------

async function save() {
  const { team, mob, story, task, result } = now;
  const transcripts = {};
  for (const [member, session_id] of Object.entries(mob.sessions)) transcripts[member] = (await call("session/history", { session_id })).messages;
  const { api_key: _, ...voice } = mob.voice;
  const replay = { format: "meerkat-mob/replay", version: 1, saved_at: new Date().toISOString(), team, voice, task, result, total: story.total, events: story.events, transcripts };
  const url = URL.createObjectURL(new Blob([JSON.stringify(replay, null, 1)], { type: "application/json" }));
  h("a", { href: url, download: `${mob.mob_id}.replay.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// -- controls ---------------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];

function theme(chosen) {
  document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("theme", chosen);
  } catch {
    // no storage: the choice lasts as long as the page
  }
  byId("theme").replaceChildren(icon(chosen), h("span", { class: "hidden" }, `Theme: ${chosen}`));
  byId("theme").title = `Theme: ${chosen}`;
}

function voices() {
  const kind = document.forms.ask.elements.voice.value;
  const isServer = kind === "server";
  byId("server").hidden = !isServer;
  byId("pace-field").hidden = kind !== "scripted";
  byId("own-hint").hidden = kind !== "built-in";
  for (const id of ["base-url", "model"]) byId(id).required = isServer;
}

let own; // the browser's own model, where it has one
if (self.LanguageModel)
  import("./model.js").then(async ({ offer }) => {
    own = await offer(call.lend);
    byId("own").hidden = !own;
  });

theme(document.documentElement.dataset.theme ?? "auto");
byId("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % 3]));
byId("ask").addEventListener("submit", run);
byId("say").addEventListener("submit", say);
byId("stop").addEventListener("click", stop);
byId("export").addEventListener("click", save);
byId("example").addEventListener("change", example);
byId("pick").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", () => {
  const [file] = byId("file").files;
  byId("file").value = "";
  if (file) mine(file);
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && now.phase !== "starting") mine(file);
});
byId("task").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
});
document.forms.ask.addEventListener("change", voices);
byId("origins").textContent = `OLLAMA_ORIGINS=${location.origin}`;
byId("to-answer").addEventListener("click", () => byId("outcome").scrollIntoView());
new IntersectionObserver(([{ isIntersecting }]) => {
  now.seen = isIntersecting;
  if (isIntersecting) byId("to-answer").hidden = true;
}).observe(byId("outcome"));
setInterval(() => now.phase === "running" && figures(), 500);
byId("task").value = byId("example").selectedOptions[0].dataset.task;
drawBoard(byId("board"), new Story({ members: [] }));
voices();
enter("starting");

/** A team of the visitor's own, as one more choice. */
async function mine(file) {
  const before = byId("task").value;
  if (!(await load(file.name, async () => file))) return;
  const option = h("option", { selected: true }, now.team.mob_id);
  byId("example").append(Object.assign(option, { file }));
  if (byId("task").value !== before) return;
  byId("task").value = "";
  byId("task").focus();
}
