// One card for each node: its state, its last minute, and what can be done to it in a local cluster.
import {confirmed, h, put, say, svg} from "./dom";
import {act} from "./live";
import {bytes, count, duration, History, hue, milliseconds, short, type ClusterNode, type View} from "./model";

const width = 120, height = 30;

class Sparkline {
  readonly element = svg("svg", {class: "sparkline", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none",
                                 "aria-hidden": "true"});
  private readonly area = svg("path", {class: "area"});
  private readonly line = svg("path", {class: "line"});
  constructor() {
    this.element.append(this.area, this.line);
  }
  draw(values: number[]): void {
    const most = Math.max(...values, 1e-9), step = width / (History.span - 1);
    const begin = width - (values.length - 1) * step;
    const points = values.map((value, i) =>
        `${(begin + i * step).toFixed(1)} ${(height - 1.5 - (value / most) * (height - 4)).toFixed(1)}`);
    const line = "M" + points.join("L");
    put(this.line, "d", line);
    put(this.area, "d", `${line}L${width} ${height}L${begin.toFixed(1)} ${height}Z`);
  }
}

/** Either of two opposite actions, whichever makes sense now. */
class Toggle {
  readonly element = h("button", {type: "button"});
  private action = "";
  constructor(private readonly node: string, onError: (text: string) => void) {
    this.element.addEventListener("click", async () => {
      this.element.classList.add("busy");
      const error = await (this.action in questions ? changeMembers : act)(this.node, this.action);
      this.element.classList.remove("busy");
      if (error) onError(error);
    });
  }
  set(action: string, possible: boolean, why = ""): void {
    const label = action === "cut-off" ? "Cut off" : action === "cancel" ? "Turn back" : action[0]!.toUpperCase() + action.slice(1);
    this.action = action;
    say(this.element, label);
    put(this.element, "aria-label", `${label} ${this.node}`);
    put(this.element, "data-action", action);
    this.element.disabled = !possible;
    put(this.element, "title", why);
  }
}

const questions: Record<string, [question: string, detail: string, yes: string]> = {
  decommission: ["Shall {} leave the cluster?", "Its shards move to the other nodes, then its process ends. Until then it can be turned back.", "Let it leave"],
  remove: ["Remove {}, which is down?", "Its shards come from the other replicas. What only it stored is lost.", "Remove it"],
  cancel: ["Turn the change of {} back?", "Shards that have moved move back.", "Turn it back"],
  add: ["Add a node?", "One more process starts on this machine, and some shards of each node move to it.", "Add it"],
};

/** Begins a change of members after a question. What goes wrong, if anything. */
export async function changeMembers(node: string, action: string): Promise<string | undefined> {
  const [question, detail, yes] = questions[action]!;
  return (await confirmed(question.replace("{}", node), detail, yes)) ? act(node, action) : undefined;
}

/** How many writes wait on the others for a node. */
function lag(node: ClusterNode, view: View): number {
  return view.nodes.reduce((sum, other) => sum + (other.load?.hints_for?.[node.id] ?? 0), 0);
}

/** How many shards come to a node, or go from it. */
function moving(node: ClusterNode, view: View, end: "from" | "to"): number {
  return (view.moves ?? []).reduce((sum, move) => sum + (move[end] === node.id ? move.copying + move.settling : 0), 0);
}

class Card {
  readonly element: HTMLElement;
  private readonly state = h("span", {class: "state"});
  private readonly place = h("span", {class: "place"});
  private readonly rate = h("b");
  private readonly slow = h("b");
  private readonly rateLine = new Sparkline();
  private readonly slowLine = new Sparkline();
  private readonly facts = h("p", {class: "facts"});
  private readonly copies = h("p", {class: "facts copies"});
  private readonly actions = h("div", {class: "actions", role: "group"});
  private readonly toggles: Toggle[];
  private readonly history = new History();

  constructor(node: ClusterNode, onError: (text: string) => void) {
    this.toggles = [0, 1, 2, 3].map(() => new Toggle(node.name, onError));
    // Until the supervisor has said how the process is.
    ["kill", "freeze", "cut-off", "decommission"].forEach((action, i) => this.toggles[i]!.set(action, false));
    this.actions.append(...this.toggles.map((toggle) => toggle.element));
    put(this.actions, "aria-label", `Try with ${node.name}`);
    this.element = h("li", {class: "card", "data-node": node.name},
      h("header", {}, h("span", {class: "dot", "aria-hidden": "true"}), h("h3", {}, node.name), this.state, this.place),
      h("div", {class: "lines"},
        h("div", {}, h("span", {class: "label"}, "throughput"), this.rate, this.rateLine.element),
        h("div", {}, h("span", {class: "label"}, "p99 latency"), this.slow, this.slowLine.element)),
      this.facts, this.copies, this.actions);
    this.element.style.setProperty("--hue", String(hue(node.id)));
  }

  update(node: ClusterNode, view: View): void {
    this.history.add(node.load);
    const load = node.load;
    put(this.element, "data-state", node.state);
    const process = node.process;
    const notes = [node.state];
    if (process?.state === "frozen") notes.push("frozen");
    if (process?.cut_off) notes.push("cut off");
    say(this.state, notes.join(", "));
    say(this.place, `${node.address} · ${node.datacenter}/${node.rack}`);
    say(this.rate, load?.reads_s === undefined ? "–" : short(load.reads_s + (load.writes_s ?? 0)) + "/s");
    say(this.slow, load?.slow_ms === undefined ? "–" : milliseconds(load.slow_ms));
    this.rateLine.draw(this.history.throughput);
    this.slowLine.draw(this.history.latency);
    const facts: string[] = [];
    if (node.name === view.leader) facts.push("leads the metadata log");
    if (load?.resident_bytes !== undefined) facts.push(bytes(load.resident_bytes));
    if (load?.uptime_s !== undefined) facts.push(`up for ${duration(load.uptime_s)}`);
    if (load?.connections) facts.push(load.connections === 1 ? "1 client" : `${load.connections} clients`);
    say(this.facts, facts.join(" · "));
    say(this.copies, this.describeCopies(node, view));
    this.actions.hidden = !view.local;
    this.offer(node, view);
  }

  /** What its replicas lack, how far they are compared, and what moves. */
  private describeCopies(node: ClusterNode, view: View): string {
    const facts: string[] = [], load = node.load, compared = load?.comparison;
    const comes = moving(node, view, "to"), goes = moving(node, view, "from"), behind = lag(node, view);
    if (comes > 0) facts.push(`${count(comes, "shard")} still ${comes === 1 ? "comes" : "come"}`);
    if (goes > 0) facts.push(`${count(goes, "shard")} still ${goes === 1 ? "goes" : "go"}`);
    if (behind > 0) facts.push(`${count(behind, "write")} behind`);
    else if (node.state === "up" && view.nodes.length > 1) facts.push("no lag");
    if (load?.hints) facts.push(`keeps ${count(load.hints, "hint")} for others`);
    if (compared && compared.shards > 0)
      facts.push(`compared ${compared.compared} of ${count(compared.shards, "shard")}` +
                 (compared.last_s === undefined ? "" : `, last ${duration(compared.last_s)} ago`));
    if (load?.differing) facts.push(count(load.differing, "repair"));
    return facts.join(" · ");
  }

  private offer(node: ClusterNode, view: View): void {
    const process = node.process;
    if (!process) return void this.toggles.forEach((toggle) => (toggle.element.disabled = true));
    const alive = process.state !== "down", frozen = process.state === "frozen";
    this.toggles[0]!.set(alive ? "kill" : "start", process.state !== "starting");
    this.toggles[1]!.set(frozen ? "thaw" : "freeze", alive);
    this.toggles[2]!.set(process.cut_off ? "heal" : "cut-off", alive && !frozen && !process.adopted,
                         process.adopted ? "Only nodes that asterism up started can be cut off" : "");
    const change = view.change, mine = change?.node === node.name && !change.cancelled;
    this.toggles[3]!.set(mine ? "cancel" : alive ? "decommission" : "remove",
                         mine || (!change && view.nodes.length > 1 && !frozen && !process.cut_off));
  }
}

export class Nodes {
  readonly element = h("ul", {class: "nodes", "aria-label": "Nodes"});
  private readonly cards = new Map<number, Card>();

  constructor(private readonly onError: (text: string) => void) {}

  update(view: View): void {
    for (const node of view.nodes) {
      let card = this.cards.get(node.id);
      if (!card) {
        this.cards.set(node.id, (card = new Card(node, this.onError)));
        this.element.append(card.element);
      }
      card.update(node, view);
    }
    for (const [id, card] of this.cards)
      if (!view.nodes.some((node) => node.id === id)) {
        card.element.classList.add("gone");
        setTimeout(() => card.element.remove(), 900);
        this.cards.delete(id);
      }
  }

  mark(id: number | undefined): void {
    for (const [node, card] of this.cards) card.element.classList.toggle("picked", node === id);
  }
}
