// The constellation: nodes as stars on a ring, the shards of one keyspace around them.
import {put, say, svg} from "./dom";
import {alive, count, hue, required, short, type ClusterNode, type Move, type Shard, type View} from "./model";

const size = 640, middle = size / 2, starRing = 178, moveRing = 243, shardRing = 262, healthRing = 288;

function point(radius: number, turn: number): [number, number] {
  const angle = (turn - 0.25) * 2 * Math.PI;
  return [middle + radius * Math.cos(angle), middle + radius * Math.sin(angle)];
}

/** A token's place on the ring, from 0 to 1. */
function turn(token: string): number {
  return Number(((BigInt(token) + (1n << 63n)) * 1000000n) >> 64n) / 1e6;
}

function arc(radius: number, from: number, to: number): string {
  const [x1, y1] = point(radius, from), [x2, y2] = point(radius, to);
  return `M${x1.toFixed(2)} ${y1.toFixed(2)}A${radius} ${radius} 0 ${to - from > 0.5 ? 1 : 0} 1 ${x2.toFixed(2)} ${y2.toFixed(2)}`;
}

/** A star of four points. */
function starShape(radius: number): string {
  const points: string[] = [];
  for (let i = 0; i < 8; ++i) {
    const length = i % 2 === 0 ? radius : radius * 0.38, angle = (i * Math.PI) / 4;
    points.push(`${(length * Math.sin(angle)).toFixed(2)} ${(-length * Math.cos(angle)).toFixed(2)}`);
  }
  return `M${points.join("L")}Z`;
}

interface Star {
  group: SVGGElement;
  glow: SVGCircleElement;
  name: SVGTextElement;
  rate: SVGTextElement;
}

export class Sky {
  readonly element: SVGSVGElement;
  private readonly lines = svg("g", {class: "lines"});
  private readonly ring = svg("g", {class: "shards"});
  private readonly streams = svg("g", {class: "streams"});
  private readonly stars = svg("g", {});
  private readonly total = svg("text", {class: "total", x: middle, y: middle + 4});
  private readonly unit = svg("text", {class: "unit", x: middle, y: middle + 26}, "operations per second");
  private readonly made = new Map<number, Star>();
  private view?: View;
  private shards: Shard[] = [];
  private picked?: number;
  private streamKey = "";

  constructor(private readonly onPick: (id: number | undefined) => void) {
    this.element = svg("svg", {
      class: "sky",
      viewBox: `24 24 ${size - 48} ${size - 48}`,
      role: "group",
      "aria-label": "The nodes of the cluster as stars and its shards as arcs around them",
    });
    const background = svg("g", {class: "background", "aria-hidden": "true"});
    let seed = 7;
    const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
    for (let i = 0; i < 90; ++i)
      background.append(svg("circle", {
        cx: (random() * size).toFixed(1),
        cy: (random() * size).toFixed(1),
        r: (0.35 + random() * random() * 1.1).toFixed(2),
        opacity: (0.15 + random() * 0.5).toFixed(2),
      }));
    this.element.append(background, svg("circle", {class: "orbit", cx: middle, cy: middle, r: starRing}), this.lines, this.streams,
                        this.ring, this.stars, this.total, this.unit);
  }

  pick(id: number | undefined): void {
    this.picked = this.picked === id ? undefined : id;
    this.drawShards();
    for (const [star, {group}] of this.made) put(group, "aria-pressed", String(star === this.picked));
    this.onPick(this.picked);
  }

  setShards(shards: Shard[]): void {
    this.shards = shards;
    this.drawShards();
  }

  setView(view: View): void {
    const states = (from?: View) => from?.nodes.map((node) => `${node.id}${node.state}`).join() ?? "";
    const changed = states(this.view) !== states(view);
    this.view = view;
    for (const [id, star] of this.made)
      if (!view.nodes.some((node) => node.id === id)) {
        const {group} = star;
        group.classList.add("gone");
        put(group, "tabindex", "-1");
        put(group, "aria-hidden", "true");
        setTimeout(() => group.remove(), 1600);
        this.made.delete(id);
      }
    view.nodes.forEach((node, i) => this.drawStar(node, i / view.nodes.length, node.name === view.leader));
    if (changed) {
      this.drawLines(view.nodes);
      this.drawShards();
    }
    this.drawStreams(view);
    const sum = view.nodes.reduce((all, node) => all + (node.load?.reads_s ?? 0) + (node.load?.writes_s ?? 0), 0);
    say(this.total, short(sum));
  }

  private drawStar(node: ClusterNode, at: number, leads: boolean): void {
    let star = this.made.get(node.id);
    if (!star) {
      const shade = svg("radialGradient", {id: `glow-${node.id}`}, svg("stop", {offset: 0, "stop-opacity": 0.75}),
                        svg("stop", {offset: 0.35, "stop-opacity": 0.28}), svg("stop", {offset: 1, "stop-opacity": 0}));
      const glow = svg("circle", {class: "glow", r: 30, fill: `url(#glow-${node.id})`});
      const name = svg("text", {class: "name"}), rate = svg("text", {class: "rate"});
      const group = svg("g", {class: "star", tabindex: 0, role: "button", "aria-pressed": "false"},
                        shade, svg("circle", {class: "halo", r: 30}), glow, svg("path", {class: "core", d: starShape(17)}),
                        svg("circle", {class: "crown", r: 23}), name, rate);
      group.style.setProperty("--hue", String(hue(node.id)));
      group.addEventListener("click", () => this.pick(node.id));
      group.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.pick(node.id);
      });
      this.stars.append(group);
      this.made.set(node.id, (star = {group, glow, name, rate}));
    }
    const [x, y] = point(starRing, at);
    star.group.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    put(star.group, "class", `star ${node.state}${leads ? " leads" : ""}${node.process?.cut_off ? " cut-off" : ""}`);
    star.group.style.setProperty("--there", this.presence(node).toFixed(2));
    const traffic = (node.load?.reads_s ?? 0) + (node.load?.writes_s ?? 0);
    star.glow.style.setProperty("--grow", (1 + Math.min(Math.log10(1 + traffic) / 4, 1.2)).toFixed(2));
    // Names stand between the star and the shards.
    const [dx, dy] = point(1, at).map((value) => value - middle) as [number, number];
    for (const [text, shift] of [[star.name, -1], [star.rate, 14]] as const) {
      put(text, "x", (dx * 47).toFixed(1));
      put(text, "y", (dy * 46 + shift).toFixed(1));
    }
    say(star.name, node.name);
    say(star.rate, node.state === "up" ? short(traffic) + "/s" : node.state);
    put(star.group, "aria-label",
        `${node.name}, ${node.state}${leads ? ", leads the metadata log" : ""}. Show its shards.`);
  }

  /** A star that comes grows with its shards, and one that leaves fades with them. */
  private presence(node: ClusterNode): number {
    const change = this.view?.change;
    if (!change) return 1;
    const done = change.shards === 0 ? 1 : 1 - Math.min(change.moving / change.shards, 1);
    if (node.state === "joining") return 0.6 + 0.4 * done;
    return node.state === "leaving" ? 1 - 0.65 * done : 1;
  }

  /** Where shards move from and to: one curve for each two nodes. */
  private drawStreams(view: View): void {
    const moves = view.moves ?? [];
    const key = moves.map((move) => `${move.from} ${move.to}`).join() + view.nodes.length;
    if (key !== this.streamKey) {
      this.streamKey = key;
      const place = new Map(view.nodes.map((node, i) => [node.id, point(starRing, i / view.nodes.length)]));
      this.streams.replaceChildren(...moves.filter((move) => place.has(move.from) && place.has(move.to)).map((move) => {
        const [x1, y1] = place.get(move.from)!, [x2, y2] = place.get(move.to)!;
        // Bent towards the middle, and past the number that stands there.
        const across = Math.hypot((x1 + x2) / 2 - middle, (y1 + y2) / 2 - middle) < 70 ? 0.5 : 0;
        const cx = ((x1 + x2) / 2) * 0.72 + middle * 0.28 + (y2 - y1) * across;
        const cy = ((y1 + y2) / 2) * 0.72 + middle * 0.28 - (x2 - x1) * across;
        const path = svg("path", {class: "stream", "data-move": `${move.from} ${move.to}`,
                                  d: `M${x1.toFixed(1)} ${y1.toFixed(1)}Q${cx.toFixed(1)} ${cy.toFixed(1)} ` +
                                     `${x2.toFixed(1)} ${y2.toFixed(1)}`}, svg("title", {}));
        path.style.setProperty("--hue", String(hue(move.to)));
        return path;
      }));
    }
    const names = new Map(view.nodes.map((node) => [node.id, node.name]));
    for (const path of this.streams.children) {
      const [from, to] = path.getAttribute("data-move")!.split(" ").map(Number);
      const move = moves.find((one) => one.from === from && one.to === to) as Move;
      const shards = move.copying + move.settling;
      (path as SVGPathElement).style.setProperty("--width", (1.5 + Math.min(Math.sqrt(shards), 6) * 0.6).toFixed(2));
      say(path.firstElementChild!, `${count(shards, "shard")} from ${names.get(move.from)} to ${names.get(move.to)}: ` +
          `${move.copying} copying, ${move.settling} settling`);
    }
  }

  /** Between all that see each other while they are few, else between neighbours. */
  private drawLines(nodes: ClusterNode[]): void {
    const up = nodes.map((node, i) => ({node, i})).filter(({node}) => node.state !== "down");
    const lines: SVGLineElement[] = [];
    up.forEach((a, k) => up.forEach((b, l) => {
      if (l <= k || (up.length > 5 && l !== k + 1 && !(k === 0 && l === up.length - 1))) return;
      const [x1, y1] = point(starRing, a.i / nodes.length), [x2, y2] = point(starRing, b.i / nodes.length);
      lines.push(svg("line", {x1, y1, x2, y2}));
    }));
    this.lines.replaceChildren(...lines);
  }

  private drawShards(): void {
    const names = new Map(this.view?.nodes.map((node) => [node.id, node.name]));
    const states = new Map(this.view?.nodes.map((node) => [node.id, node.state]));
    // Half a gap on each side, and never more than the shard itself.
    const paths: SVGElement[] = [];
    for (const shard of this.shards) {
      const from = turn(shard.after);
      let to = turn(shard.to);
      if (to <= from) to += 1;
      const gap = Math.min(0.0012, (to - from) / 4);
      const able = alive(shard.replicas, states), all = shard.replicas.length;
      const health = able === all ? "full" : able >= required("QUORUM", all) ? "some" : able > 0 ? "few" : "none";
      const dim = this.picked !== undefined && !shard.replicas.includes(this.picked) &&
                  !shard.target?.includes(this.picked);
      const headless = states.get(shard.replicas[0] ?? 0) === "down";
      const inner = svg("path", {class: `shard${dim ? " dim" : ""}${headless ? " headless" : ""}`, d: arc(shardRing, from + gap, to - gap)},
                        svg("title", {}, `Replicas on ${shard.replicas.map((id) => names.get(id) ?? id).join(", ")}; ` +
                            `${able} of ${all} live` + this.describeMove(shard, names)));
      inner.style.setProperty("--hue", String(hue(shard.replicas[0] ?? 0)));
      if (shard.target) paths.push(this.movingArc(shard, from + gap, to - gap));
      paths.push(inner, svg("path", {class: `health ${health}`, d: arc(healthRing, from + gap, to - gap)}));
    }
    this.ring.replaceChildren(...paths);
  }

  private describeMove(shard: Shard, names: Map<number, string>): string {
    if (!shard.target) return "";
    const others = shard.target.filter((id) => !shard.replicas.includes(id)).map((id) => names.get(id) ?? id);
    return `; ${shard.settling ? "settling" : "copying"}` + (others.length > 0 ? ` to ${others.join(", ")}` : "");
  }

  /** Inside the ring, in the colour of the node that it moves to: broken while it is copied, whole while it settles. */
  private movingArc(shard: Shard, from: number, to: number): SVGElement {
    const path = svg("path", {class: `moving ${shard.settling ? "settling" : "copying"}`, d: arc(moveRing, from, to)});
    const comes = shard.target!.find((id) => !shard.replicas.includes(id)) ?? shard.target![0] ?? 0;
    path.style.setProperty("--hue", String(hue(comes)));
    return path;
  }
}
