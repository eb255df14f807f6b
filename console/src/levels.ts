// What reads and writes at each consistency level would answer now, and a button that finds out.
import {h, put, say} from "./dom";
import {run} from "./live";
import {answering, levels, type Level, type Shard, type View} from "./model";

const probes = 8;
const table = "console_probe";

interface Row {
  reads: HTMLElement;
  writes: HTMLElement;
  tried: HTMLElement;
}

export class Levels {
  readonly element: HTMLElement;
  private readonly rows = new Map<Level, Row>();
  private readonly button = h("button", {type: "button", class: "primary"}, "Try it");
  private readonly hint = h("p", {class: "hint", role: "status"});
  private shards: Shard[] = [];
  private states = new Map<number, string>();
  private keyspace = "";

  constructor() {
    const body = h("tbody");
    for (const level of levels) {
      const row = {reads: h("td"), writes: h("td"), tried: h("td", {class: "tried"})};
      this.rows.set(level, row);
      body.append(h("tr", {}, h("th", {scope: "row"}, level), row.reads, row.writes, row.tried));
    }
    this.button.addEventListener("click", () => void this.tryAll());
    this.element = h("div", {class: "levels"},
      h("table", {},
        h("thead", {}, h("tr", {}, h("th", {scope: "col"}, "Level"), h("th", {scope: "col"}, "Reads"),
          h("th", {scope: "col"}, "Writes"), h("th", {scope: "col"}, "Tried"))), body),
      h("div", {class: "try"}, this.button, this.hint));
    this.draw();
  }

  set(keyspace: string, shards: Shard[]): void {
    if (keyspace !== this.keyspace) for (const row of this.rows.values()) say(row.tried, "");
    this.keyspace = keyspace;
    this.shards = shards;
    this.draw();
  }

  setView(view: View): void {
    this.states = new Map(view.nodes.map((node) => [node.id, node.state]));
    this.draw();
  }

  private draw(): void {
    for (const [level, row] of this.rows)
      for (const what of ["reads", "writes"] as const) {
        const total = this.shards.length, count = answering(this.shards, this.states, level, what);
        put(row[what], "class", total === 0 ? "" : count === total ? "good" : count === 0 ? "bad" : "part");
        say(row[what], total === 0 ? "–" : count === total ? "answered" : count === 0 ? "refused"
                                                             : `${count} of ${total} shards`);
      }
    this.button.disabled = this.shards.length === 0;
    say(this.hint, this.shards.length === 0 ? "Make a keyspace first, or choose one."
        : `Writes and reads ${probes} rows in ${this.keyspace}.${table}, which it makes, at each level.`);
  }

  private async tryAll(): Promise<void> {
    this.button.disabled = true;
    const name = `"${this.keyspace.replaceAll('"', '""')}".${table}`;
    const made = await run({statement: `CREATE TABLE IF NOT EXISTS ${name} (id int PRIMARY KEY, at timestamp)`});
    for (const [level, row] of this.rows) {
      if (made.kind === "error") {
        say(row.tried, made.message ?? "refused");
        continue;
      }
      const began = performance.now();
      const all = async (statement: (id: number) => string) =>
          (await Promise.all([...Array(probes).keys()].map((id) =>
              run({statement: statement(id), consistency: level})))).filter((answer) => answer.kind !== "error").length;
      const writes = await all((id) => `INSERT INTO ${name} (id, at) VALUES (${id}, toTimestamp(now()))`);
      const reads = await all((id) => `SELECT at FROM ${name} WHERE id = ${id}`);
      put(row.tried, "class", "tried " + (reads + writes === 2 * probes ? "good" : reads + writes === 0 ? "bad" : "part"));
      say(row.tried, `${reads}/${probes} reads, ${writes}/${probes} writes · ${Math.round(performance.now() - began)} ms`);
    }
    this.button.disabled = false;
  }
}
