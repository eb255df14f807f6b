// The change of members: what it is, how far it is, how long it may still take, and the way back.
import {h, put, say} from "./dom";
import {count, duration, type Change, type View} from "./model";

const lingers_ms = 8000;

function title(change: Change): string {
  if (change.cancelled) return `${change.node} goes back to what it was`;
  switch (change.what) {
    case "add": return `${change.node} joins`;
    case "replace": return `${change.node} takes the place of ${change.replaces}`;
    case "remove": return `${change.node}, which is dead, is removed`;
    case "rebalance": return `${change.node} gets other tokens`;
    default: return `${change.node} leaves`;
  }
}

export class ChangePanel {
  readonly element: HTMLElement;
  private readonly name = h("h2");
  private readonly number = h("b");
  private readonly detail = h("p", {class: "detail"});
  private readonly fill = h("span", {class: "fill"});
  private readonly bar = h("div", {class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuenow": 0,
                                   "aria-label": "Shards that have moved"}, this.fill);
  private readonly cancel = h("button", {type: "button"}, "Turn back");
  /** Said at each quarter only: whoever listens wants to hear something else, too. */
  private readonly spoken = h("p", {class: "unseen", role: "status"});
  private now?: Change;
  private most = 0;
  private samples: {at: number; done: number}[] = [];
  private hide = 0;
  private quarter = -1;

  constructor(private readonly onCancel: (node: string) => void) {
    this.cancel.addEventListener("click", () => this.now && this.onCancel(this.now.node));
    this.element = h("section", {class: "panel change", "aria-label": "Change of members", hidden: true},
      h("div", {class: "row"}, this.name, this.number, this.cancel), this.bar, this.detail, this.spoken);
  }

  update(view: View): void {
    if (view.change) this.show(view.change, view.local);
    else if (this.now) this.end(view);
  }

  private show(change: Change, local: boolean): void {
    const fresh = !this.now || this.now.id !== change.id || this.now.cancelled !== change.cancelled;
    if (fresh) {
      clearTimeout(this.hide);
      this.samples = [];
      this.most = 0;
      this.quarter = -1;
    }
    this.now = change;
    this.element.hidden = false;
    put(this.element, "data-state", change.cancelled ? "back" : "moving");
    say(this.name, title(change));
    // A cancelled change may move shards that had not moved before.
    this.most = Math.max(this.most, change.cancelled ? change.moving : change.shards, change.moving);
    const done = this.most - change.moving;
    this.measure(done);
    const steps: string[] = [];
    if (change.copying > 0) steps.push(`${change.copying} copying`);
    if (change.settling > 0) steps.push(`${change.settling} settling`);
    if (change.moving === 0) steps.push(change.ready ? "about to end" : "waiting until the node says that it is ready");
    const left = this.secondsLeft(change.moving);
    if (left !== undefined) steps.push(`about ${duration(left)} left`);
    say(this.detail, steps.join(" · "));
    this.draw(done);
    this.cancel.hidden = !local || change.cancelled;
    put(this.cancel, "aria-label", `Turn the change of ${change.node} back`);
    const quarter = Math.floor((4 * done) / Math.max(this.most, 1));
    if (quarter !== this.quarter) say(this.spoken, `${title(change)}: ${this.number.textContent}`);
    this.quarter = quarter;
  }

  private end(view: View): void {
    const change = this.now!;
    this.now = undefined;
    const member = view.nodes.some((node) => node.id === change.id);
    const words = change.cancelled ? `Everything is back: ${change.node} is ${member ? "a member as before" : "gone again"}`
                : member ? `${change.node} is a member` : `${change.node} has left the cluster`;
    put(this.element, "data-state", "done");
    say(this.name, words);
    say(this.detail, "");
    this.draw(this.most);
    say(this.spoken, `${words}. ${this.number.textContent}`);
    this.cancel.hidden = true;
    this.hide = window.setTimeout(() => (this.element.hidden = true), lingers_ms);
  }

  private draw(done: number): void {
    const share = this.most === 0 ? 1 : done / this.most;
    say(this.number, `${done} of ${count(this.most, "shard")} moved`);
    this.fill.style.width = `${(share * 100).toFixed(1)}%`;
    put(this.bar, "aria-valuemax", String(this.most));
    put(this.bar, "aria-valuenow", String(done));
    put(this.bar, "aria-valuetext", this.number.textContent ?? "");
  }

  private measure(done: number): void {
    const last = this.samples[this.samples.length - 1];
    if (!last || last.done !== done) this.samples.push({at: performance.now(), done});
    if (this.samples.length > 30) this.samples.shift();
  }

  /** At the pace of late; nothing while that is not known. */
  private secondsLeft(moving: number): number | undefined {
    const first = this.samples[0], last = this.samples[this.samples.length - 1];
    if (!first || !last || last.done === first.done || moving === 0) return undefined;
    return Math.max(1, ((performance.now() - first.at) / 1000 / (last.done - first.done)) * moving);
  }
}
