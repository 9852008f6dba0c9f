// A running mob as somebody who watches it sees it: a fold over its events. Nothing here draws.
import { hue } from "./dom.js";

const TASK_ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** What a member does, in a word for its place in the picture. */
export const DOING = {
  idle: "",
  thinking: "thinking",
  reasoning: "reasoning",
  speaking: "speaking",
  calling: "using a tool",
  waiting: "waiting to retry",
};

export class Story {
  constructor(team) {
    this.team = team;
    this.seats = new Map();
    this.tasks = new Map();
    this.entries = [];
    this.events = [];
    this.messages = 0;
    this.calls = new Map();
    this.began = null;
    for (const { member, profile } of team.members) this.seat(member, profile);
  }

  seat(id, profile = id) {
    if (!this.seats.has(id)) {
      const place = { id, profile, hue: hue(this.seats.size), doing: "idle", said: null };
      this.seats.set(id, { ...place, turns: 0, tools: 0, usage: null });
    }
    return this.seats.get(id);
  }

  /** Folds an event in. Returns the entries that are new or changed, and messages on their way. */
  apply(event) {
    if (!event.envelope?.payload.type.endsWith("_delta")) this.events.push(event);
    const changed = [];
    const sent = [];
    const show = (entry) => (changed.push(entry), entry);
    if (event.kind) this.fact(event.kind, event.timestamp, show);
    else if (event.envelope) this.work(event, show, sent);
    else show(this.add("note", null, { text: `${event.skipped} events passed too fast to be shown` }));
    return { changed, sent };
  }

  add(type, member, more = {}, at = Date.now()) {
    this.began ??= at;
    const entry = { key: this.entries.length, type, member, at: at - this.began, ...more };
    this.entries.push(entry);
    return entry;
  }

  /** What the person at the page says. */
  ask(member, text) {
    return this.add("asked", null, { to: member, text });
  }

  // Facts of the mob.
  fact(kind, at, show) {
    switch (kind.type) {
      case "meerkat_spawned":
        this.seat(kind.meerkat_id, kind.role);
        break;
      case "capability_missing":
        show(this.add("note", kind.meerkat_id, { text: `works without “${kind.flag}”: ${kind.reason}` }, at));
        break;
      case "task_created": {
        const { task_id: id, subject, description, blocked_by: after } = kind;
        const number = this.tasks.size + 1;
        this.tasks.set(id, { id, number, subject, description, after, status: "open", owner: null });
        break;
      }
      case "task_updated":
        Object.assign(this.tasks.get(kind.task_id) ?? {}, { status: kind.status, owner: kind.owner });
        break;
    }
  }

  // What a member's run says of itself.
  work({ source, profile, envelope }, show, sent) {
    const seat = this.seat(source, profile);
    const { payload: told, timestamp_ms: at } = envelope;
    switch (told.type) {
      case "run_started":
        seat.doing = "thinking";
        break;
      case "turn_started":
        seat.doing = "thinking";
        seat.turns += 1;
        break;
      case "reasoning_delta":
        seat.doing = "reasoning";
        break;
      case "text_delta":
        seat.doing = "speaking";
        seat.said ??= this.add("said", source, { text: "", live: true }, at);
        seat.said.text += told.delta;
        show(seat.said);
        break;
      case "text_complete":
        seat.said ??= this.add("said", source, { live: true }, at);
        seat.said.text = told.content;
        show(this.quiet(seat));
        break;
      case "retrying":
        seat.doing = "waiting";
        if (seat.said) show(this.quiet(seat));
        show(this.add("note", source, { text: `tries again (${told.attempt} of ${told.max_attempts}): ${told.error}` }, at));
        break;
      case "model_fallback":
        if (seat.said) show(this.quiet(seat));
        show(this.add("note", source, { text: `goes on with ${told.to_model}, for ${told.from_model} failed: ${told.error}` }, at));
        break;
      case "compaction_completed":
        show(this.add("note", source, { text: `has summed up ${told.messages_before - told.messages_after + 1} older messages` }, at));
        break;
      case "tool_call_requested":
        seat.doing = "calling";
        if (seat.said) show(this.quiet(seat));
        show(this.call(seat, told, at));
        break;
      case "tool_execution_completed":
        seat.tools += 1;
        show(this.called(source, told, sent));
        break;
      case "turn_completed":
        seat.usage = told.usage;
        break;
      case "run_completed":
        seat.usage = told.usage;
        seat.doing = "idle";
        break;
      case "budget_warning":
        show(this.add("note", source, { text: `has used ${told.percent} % of its ${told.budget_type.replace("_", " ")}` }, at));
        break;
      case "run_callback_pending":
        seat.doing = "idle";
        show(this.add("note", source, { text: `waits for the result of ${told.calls.map((c) => c.name).join(", ")}` }, at));
        break;
      case "run_failed":
        seat.doing = "idle";
        if (seat.said) show(this.quiet(seat));
        if (told.code === "REQUEST_CANCELLED") show(this.add("note", source, { text: "was interrupted" }, at));
        else show(this.add("fault", source, { text: told.error }, at));
        break;
      case "stream_truncated":
        show(this.add("note", source, { text: told.reason }, at));
        break;
    }
  }

  /** The text a member was saying is all there is. */
  quiet(seat) {
    const { said } = seat;
    said.live = false;
    seat.said = null;
    return said;
  }

  call(seat, { id, name, args }, at) {
    const known = typeof args === "object" && args ? args : {};
    const entry =
      name === "send_message"
        ? this.add("sent", seat.id, { to: short(known.to), text: known.body ?? "" }, at)
        : this.add("tool", seat.id, { tool: name, args: known }, at);
    this.calls.set(`${seat.id} ${id}`, Object.assign(entry, { live: true }));
    return entry;
  }

  called(source, { id, result, is_error: failed, duration_ms: took }, sent) {
    const entry = this.calls.get(`${source} ${id}`);
    this.calls.delete(`${source} ${id}`);
    Object.assign(entry, { live: false, took, result: read(result), problem: "" });
    if (failed) entry.problem = entry.result?.message ?? result;
    else if (entry.type === "sent") {
      this.messages += 1;
      sent.push({ from: source, to: entry.to });
    }
    return entry;
  }

  /** A text in which tasks go by their numbers on the board. */
  plain(text) {
    return String(text ?? "").replace(TASK_ID, (id) => {
      const task = this.tasks.get(id);
      return task ? `#${task.number}` : id;
    });
  }

  get total() {
    const seats = [...this.seats.values()];
    const sum = (pick) => seats.reduce((n, seat) => n + pick(seat), 0);
    const partly = seats.some((seat) => seat.turns && !seat.usage);
    const tokens = sum(({ usage }) => (usage ? usage.input_tokens + usage.output_tokens : 0));
    return {
      members: seats.length,
      turns: sum((seat) => seat.turns),
      messages: this.messages,
      tools: sum((seat) => seat.tools),
      tokens: tokens || null,
      partly,
    };
  }
}

const short = (name) => String(name ?? "?").split("/").at(-1);

function read(result) {
  try {
    return JSON.parse(result);
  } catch {
    return result;
  }
}
