// The conversation, entry by entry, and the board. Both show what a story holds.
import { avatar, h, icon, prose } from "./dom.js";

export const PLAIN_RULE = /^\[scripted\]\s*/;

const clock = (ms) => (ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)}:${String(Math.floor((ms % 60_000) / 1000)).padStart(2, "0")}`);

export class Feed {
  constructor(list, { jump }) {
    this.list = list;
    this.jump = jump;
    this.items = new Map();
    this.follows = true;
    list.addEventListener("scroll", () => this.follow(this.isAtEnd), { passive: true });
    jump.addEventListener("click", () => this.toEnd());
  }

  get isAtEnd() {
    return this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 48;
  }

  follow(follows) {
    this.follows = follows;
    this.jump.hidden = follows;
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.follow(true);
  }

  show(story) {
    this.story = story;
    this.items.clear();
    this.list.replaceChildren();
    this.follow(true);
  }

  /** Draws entries that are new or have changed. */
  draw(entries) {
    for (const entry of entries) {
      const drawn = this.item(entry);
      const old = this.items.get(entry.key);
      if (old) {
        drawn.open = old.open;
        old.replaceWith(drawn);
      } else this.list.append(drawn);
      this.items.set(entry.key, drawn);
    }
    if (this.follows) this.list.scrollTop = this.list.scrollHeight;
  }

  /** Lets one member stand out; null shows all alike. */
  choose(member) {
    this.chosen = member;
    for (const item of this.items.values()) this.dim(item);
  }

  dim(item) {
    item.classList.toggle("dim", Boolean(this.chosen) && !item.dataset.who.split(" ").includes(this.chosen));
    return item;
  }

  item(entry) {
    const { type, member, to, live } = entry;
    const seat = member && this.story.seats.get(member);
    const isRow = type === "tool" || type === "note";
    const tag = type === "tool" ? "details" : "article";
    const item = h(tag, {
      class: `entry ${type}${live ? " live" : ""}${entry.problem ? " failed" : ""}`,
      style: seat ? { "--hue": seat.hue } : {},
      "data-who": [member, to].filter(Boolean).join(" "),
    });
    if (isRow) item.append(...this.row(entry, seat));
    else item.append(...this.bubble(entry, seat));
    return this.dim(item);
  }

  bubble(entry, seat) {
    const text = this.story.plain(entry.text);
    const byRule = PLAIN_RULE.test(text);
    const target = entry.to && this.story.seats.get(entry.to);
    const head = h(
      "header",
      {},
      h("b", {}, seat ? seat.id : "You"),
      entry.to && [icon("arrow"), h("b", { style: { "--hue": target?.hue ?? 0 }, class: "to" }, entry.to)],
      byRule && h("span", { class: "chip", title: "Said by the plain offline rule, not by a model" }, "plain rule"),
      h("time", {}, clock(entry.at)),
    );
    const body = h("div", { class: "body prose" }, ...prose(text.replace(PLAIN_RULE, "")));
    if (entry.live && entry.type === "said") (body.lastElementChild ?? body).append(h("i", { class: "caret" }));
    const problem = entry.problem && h("p", { class: "problem" }, icon("alert"), `Not delivered: ${this.story.plain(entry.problem)}`);
    const you = h("span", { class: "avatar you", "aria-hidden": "true" }, icon("person"));
    return [seat ? avatar(seat) : you, h("div", { class: "card" }, head, body, problem || null)];
  }

  row(entry, seat) {
    if (entry.type === "note") {
      const who = seat ? [h("b", {}, seat.id), " "] : [];
      return [h("span", { class: "dot" }), h("p", {}, ...who, this.story.plain(entry.text))];
    }
    const { verb, about } = this.inWords(entry);
    const problem = entry.problem && h("p", { class: "problem" }, this.story.plain(entry.problem));
    const shown = (value) => this.story.plain(typeof value === "string" ? value : JSON.stringify(value, null, 1));
    return [
      h(
        "summary",
        {},
        icon(entry.tool.startsWith("mob_task") ? "board" : "tool"),
        h("span", {}, h("b", {}, seat.id), ` ${verb} `, h("span", { class: "about" }, about)),
        h("time", {}, clock(entry.at)),
      ),
      h(
        "div",
        { class: "facts" },
        problem || null,
        h("pre", {}, `${entry.tool}(${shown(entry.args)})`),
        entry.result === undefined ? null : h("pre", {}, `→ ${shown(entry.result)}`),
      ),
    ];
  }

  /** A tool call as a sentence. */
  inWords({ member, tool, args, problem, live }) {
    const task = this.story.tasks.get(args.task_id);
    const title = task ? `#${task.number} ${task.subject}` : "";
    if (!problem && tool === "mob_task_create") return { verb: "adds a task:", about: this.story.plain(args.subject) };
    if (!problem && tool === "mob_task_update" && task) {
      const given = args.owner && args.owner !== member ? `gives ${args.owner}` : "takes";
      const verbs = { in_progress: given, completed: "completes", cancelled: "cancels", open: "reopens" };
      return { verb: verbs[args.status] ?? "changes", about: title };
    }
    if (!problem && tool === "mob_task_list") return { verb: "looks at", about: "the board" };
    if (!problem && tool === "peers") return { verb: "looks up", about: "its peers" };
    const verb = problem ? "fails at" : live ? "is using" : "used";
    return { verb, about: tool };
  }
}

const COLUMNS = [
  ["open", "Open"],
  ["in_progress", "In progress"],
  ["completed", "Done"],
];

/** The board, with a card for each task. */
export function drawBoard(board, story) {
  const tasks = [...story.tasks.values()];
  const columns = COLUMNS.map(([status, title]) => {
    const there = tasks.filter((t) => t.status === status || (status === "completed" && t.status === "cancelled"));
    return h(
      "section",
      { class: `column ${status}` },
      h("h3", {}, title, h("span", { class: "count" }, String(there.length))),
      h("ul", {}, ...there.map((task) => card(task, story))),
    );
  });
  board.replaceChildren(...columns);
}

function card(task, story) {
  const owner = story.seats.get(task.owner);
  const waits = task.after.map((id) => story.tasks.get(id)).filter((t) => t && t.status !== "completed");
  return h(
    "li",
    { class: `task ${task.status}`, style: owner ? { "--hue": owner.hue } : {}, title: task.description || false },
    h("span", { class: "number" }, `#${task.number}`),
    h("span", { class: "subject" }, task.subject),
    owner && h("span", { class: "owner" }, avatar(owner), owner.id),
    waits.length > 0 && task.status === "open" && h("span", { class: "waits" }, `after ${waits.map((t) => `#${t.number}`).join(", ")}`),
  );
}
