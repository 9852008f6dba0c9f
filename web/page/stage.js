// The team as a picture: who is wired to whom, who does what now, and messages under way.
import { avatar, h, svg } from "./dom.js";
import { DOING } from "./story.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const FLIGHT_MS = 900;

/** Where members stand, as fractions of the box: the lead in the middle, the others around it. */
function places(team) {
  const ids = team.members.map(({ member }) => member);
  const around = ids.length > 2 ? ids.filter((id) => id !== team.lead) : ids;
  const first = ids.length === 2 ? Math.PI : -Math.PI / 2 + Math.PI / around.length;
  const spots = around.map((_, i) => first + (i * 2 * Math.PI) / around.length).map((a) => [Math.cos(a), Math.sin(a)]);
  const most = [0, 1].map((axis) => Math.max(...spots.map((spot) => Math.abs(spot[axis])), 0.01));
  const at = new Map([[team.lead, [0, 0]]]);
  if (ids.length > 1) around.forEach((id, i) => at.set(id, [spots[i][0] / most[0], ids.length > 2 ? spots[i][1] / most[1] : 0]));
  return at;
}

export class Stage {
  constructor(box, { chosen }) {
    this.box = box;
    this.chosen = chosen;
    this.lines = svg("svg", { "aria-hidden": "true" });
    this.wires = new Map();
    this.nodes = new Map();
    this.frame = new ResizeObserver(() => this.draw());
    this.frame.observe(box);
  }

  /** Shows a team that has not begun. */
  show(story) {
    this.story = story;
    this.team = story.team;
    this.at = places(this.team);
    this.lines.replaceChildren();
    this.wires.clear();
    this.nodes.clear();
    for (const [a, b] of this.team.wires) {
      const path = svg("path", { class: "wire" });
      this.wires.set(`${a} ${b}`, { path, a, b });
      this.lines.append(path);
    }
    for (const { member, description } of this.team.members) this.nodes.set(member, this.node(member, description));
    this.box.replaceChildren(this.lines, ...[...this.nodes.values()].map(({ place }) => place));
    this.box.classList.toggle("crowded", this.team.members.length > 8);
    this.draw();
    this.update();
  }

  node(member, description) {
    const seat = this.story.seats.get(member);
    const state = h("span", { class: "state" });
    const isLead = member === this.team.lead && this.team.members.length > 1;
    const place = h(
      "button",
      {
        class: "node",
        type: "button",
        title: description || seat.profile,
        style: { "--hue": seat.hue },
        "aria-pressed": "false",
        onclick: () => this.chosen(member),
      },
      avatar(seat),
      isLead && h("span", { class: "lead" }, "lead"),
      h("span", { class: "name" }, member),
      state,
    );
    return { place, state };
  }

  draw() {
    if (!this.story) return;
    const { clientWidth: width, clientHeight: height } = this.box;
    const [cx, cy] = [width / 2, height / 2 - 18];
    const [far, tall] = [Math.min(cx - 62, 330), height / 2 - 62];
    const where = (id) => {
      const [x, y] = this.at.get(id);
      return [cx + x * far, cy + y * tall];
    };
    this.lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const [id, { place }] of this.nodes) {
      const [x, y] = where(id);
      place.style.translate = `calc(${x}px - 50%) ${y - 26}px`;
    }
    for (const { path, a, b } of this.wires.values()) {
      const [[ax, ay], [bx, by]] = [where(a), where(b)];
      const [mx, my] = [(ax + bx) / 2, (ay + by) / 2];
      const bend = [a, b].includes(this.team.lead) ? 0 : 0.18;
      path.setAttribute("d", `M${ax},${ay} Q${mx + (mx - cx) * bend},${my + (my - cy) * bend} ${bx},${by}`);
    }
  }

  /** What everybody does now. */
  update() {
    for (const [id, { place, state }] of this.nodes) {
      const { doing } = this.story.seats.get(id);
      if (place.dataset.doing !== doing) {
        place.dataset.doing = doing;
        state.textContent = DOING[doing];
      }
    }
  }

  choose(member) {
    for (const [id, { place }] of this.nodes) place.setAttribute("aria-pressed", String(id === member));
  }

  /** A message on its way along a wire. */
  send({ from, to }) {
    const there = this.wires.get(`${from} ${to}`);
    const { path } = there ?? this.wires.get(`${to} ${from}`) ?? {};
    if (!path || document.hidden) return;
    const { hue } = this.story.seats.get(from);
    path.style.setProperty("--hue", hue);
    path.classList.add("used", "busy");
    clearTimeout(path.quiet);
    path.quiet = setTimeout(() => path.classList.remove("busy"), FLIGHT_MS);
    if (still.matches) return;
    const length = path.getTotalLength();
    const steps = Array.from({ length: 13 }, (_, i) => {
      const { x, y } = path.getPointAtLength(((there ? i : 12 - i) / 12) * length);
      return { transform: `translate(${x}px, ${y}px)`, opacity: i === 0 || i === 12 ? 0 : 1 };
    });
    const letter = svg("g", { class: "letter" });
    letter.style.setProperty("--hue", hue);
    letter.append(svg("rect", { x: -9, y: -6.5, width: 18, height: 13, rx: 3 }), svg("path", { d: "M-6,-3 L0,2 L6,-3" }));
    this.lines.append(letter);
    letter.animate(steps, { duration: FLIGHT_MS, easing: "cubic-bezier(.45,.05,.35,1)" }).finished.then(
      () => letter.remove(),
      () => letter.remove(),
    );
  }
}
