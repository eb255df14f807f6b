// The table browser and the prompt for CQL.
import {h, options, put, say} from "./dom";
import {run, type Answer, type Request} from "./live";
import {milliseconds, type Keyspace} from "./model";

const consistencies = ["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "ANY"];
const historyMax = 100;

function quoted(name: string): string {
  return /^[a-z][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

export class Tables {
  readonly element: HTMLElement;
  private readonly tree = h("div", {class: "tree"});
  private readonly statement = h("textarea", {id: "statement", rows: 4, spellcheck: "false", autocapitalize: "off",
                                              autocomplete: "off", placeholder: "SELECT * FROM …"});
  private readonly keyspace = h("select", {id: "prompt-keyspace"});
  private readonly consistency = h("select", {id: "consistency"});
  private readonly runButton = h("button", {type: "submit", class: "primary"}, "Run");
  private readonly more = h("button", {type: "button", class: "more"}, "Next page");
  private readonly note = h("p", {class: "note", role: "status"});
  private readonly result = h("div", {class: "result", tabindex: 0, role: "region", "aria-label": "Result"});
  private readonly history: string[] = [];
  private at = 0;
  private last?: Request;
  private body?: HTMLTableSectionElement;
  private count = 0;

  constructor() {
    options(this.consistency, consistencies);
    this.consistency.value = "QUORUM";
    options(this.keyspace, [""]);
    this.more.hidden = true;
    this.result.hidden = true;
    const form = h("form", {class: "prompt"},
      h("label", {for: "statement"}, "CQL statement"), this.statement,
      h("div", {class: "controls"},
        h("label", {for: "prompt-keyspace"}, "Keyspace"), this.keyspace,
        h("label", {for: "consistency"}, "Consistency"), this.consistency,
        this.runButton, h("span", {class: "keys"}, "Ctrl + Enter runs, Alt + ↑ brings back")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.begin();
    });
    this.statement.addEventListener("keydown", (event) => this.key(event));
    this.more.addEventListener("click", () => void this.next());
    this.element = h("div", {class: "tables"},
      h("nav", {class: "panel", "aria-label": "Tables"}, h("h2", {}, "Tables"), this.tree),
      h("section", {class: "panel", "aria-label": "Prompt"}, form, this.note, this.result, this.more));
  }

  setSchema(keyspaces: Keyspace[]): void {
    options(this.keyspace, ["", ...keyspaces.map((keyspace) => keyspace.name)]);
    const open = new Set([...this.tree.querySelectorAll("details[open]")].map((item) => item.getAttribute("data-key")));
    const first = this.tree.childElementCount === 0 || this.tree.firstElementChild?.tagName === "P";
    const detail = (key: string, isOpen: boolean, summary: HTMLElement, ...content: HTMLElement[]) =>
        h("details", {"data-key": key, open: isOpen || open.has(key)}, summary, ...content);
    this.tree.replaceChildren(...keyspaces.map((keyspace) => {
      const replication = Object.entries(keyspace.replication).filter(([key]) => key !== "class")
                              .map(([key, value]) => key === "replication_factor" ? `${value} replicas` : `${key} ${value}`);
      return detail(keyspace.name, first, h("summary", {}, keyspace.name, h("small", {}, replication.join(", "))),
        ...keyspace.tables.map((table) => detail(`${keyspace.name}.${table.name}`, false, h("summary", {}, table.name),
          h("ul", {}, ...table.columns.map((column) => h("li", {}, column.name, h("small", {}, column.type),
            column.kind !== "regular" && h("em", {}, column.kind)))),
          h("button", {type: "button", class: "show", "aria-label": `Show rows of ${keyspace.name}.${table.name}`,
                       onclick: () => this.show(keyspace.name, table.name)}, "Show rows"))));
    }));
    if (keyspaces.length === 0)
      this.tree.append(h("p", {class: "hint"}, "There is no keyspace yet. Make one at the prompt:"),
        h("button", {type: "button", class: "show", onclick: () => this.write("CREATE KEYSPACE shop WITH replication =\n" +
          "  {'class': 'SimpleStrategy', 'replication_factor': 3}")}, "Write CREATE KEYSPACE"));
  }

  private show(keyspace: string, table: string): void {
    this.write(`SELECT * FROM ${quoted(keyspace)}.${quoted(table)}`);
    void this.begin();
  }

  private write(text: string): void {
    this.statement.value = text;
    this.statement.focus();
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this.begin();
    }
    const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (step === 0 || !event.altKey) return;
    event.preventDefault();
    this.at = Math.max(0, Math.min(this.history.length, this.at + step));
    this.statement.value = this.history[this.at] ?? "";
  }

  private async begin(): Promise<void> {
    const statement = this.statement.value.trim();
    if (!statement || this.runButton.disabled) return;
    if (this.history[this.history.length - 1] !== statement) this.history.push(statement);
    if (this.history.length > historyMax) this.history.shift();
    this.at = this.history.length;
    this.last = {statement, keyspace: this.keyspace.value, consistency: this.consistency.value, page_size: 100};
    this.body = undefined;
    this.count = 0;
    await this.send(this.last);
  }

  private async next(): Promise<void> {
    if (this.last) await this.send(this.last);
  }

  private async send(request: Request): Promise<void> {
    this.runButton.disabled = this.more.disabled = true;
    const answer = await run(request);
    this.runButton.disabled = this.more.disabled = false;
    this.more.hidden = true;
    if (answer.kind === "rows") this.rows(answer);
    else if (answer.kind === "error") this.error(answer, request.statement);
    else this.done(answer);
  }

  private done(answer: Answer): void {
    this.result.hidden = true;
    if (answer.kind === "keyspace") this.keyspace.value = answer.keyspace ?? "";
    const what = answer.kind === "schema" ? `${[answer.keyspace, answer.name].filter(Boolean).join(".")} ${answer.change}`
               : answer.kind === "keyspace" ? `keyspace ${answer.keyspace}` : "Done";
    this.tell("good", [`${what} in ${milliseconds(answer.ms)}`, ...(answer.warnings ?? [])].join(" · "));
  }

  private rows(answer: Answer): void {
    const rows = answer.rows ?? [];
    if (!this.body) {
      this.body = h("tbody");
      this.result.replaceChildren(h("table", {},
        h("thead", {}, h("tr", {}, ...(answer.columns ?? []).map((column) =>
          h("th", {scope: "col"}, column.name, h("small", {}, column.type))))), this.body));
      this.result.hidden = false;
    }
    for (const row of rows)
      this.body.append(h("tr", {}, ...row.map((cell) => cell === null ? h("td", {class: "null"}, "null") : h("td", {}, cell))));
    this.count += rows.length;
    const count = this.count === 1 ? "1 row" : `${this.count} rows`;
    this.tell("good", [`${count}${answer.next ? " so far" : ""} in ${milliseconds(answer.ms)}`,
                       ...(answer.warnings ?? [])].join(" · "));
    this.more.hidden = !answer.next;
    if (this.last && answer.next) this.last = {...this.last, page: answer.next};
  }

  private error(answer: Answer, statement: string): void {
    const place = answer.line ? ` at line ${answer.line}, column ${answer.column}` : "";
    const numbers = (answer as {required?: number; alive?: number});
    const needed = numbers.required === undefined ? "" : ` (${numbers.required} replicas are needed, ${numbers.alive} live)`;
    this.tell("bad", `${answer.name}${place}: ${(answer.message ?? "").replace(/^line \d+:\d+ /, "")}${needed}`);
    this.result.hidden = !answer.line;
    if (!answer.line) return;
    // Columns count bytes, as the parser does.
    const line = statement.split("\n")[answer.line - 1] ?? "";
    const before = new TextDecoder().decode(new TextEncoder().encode(line).slice(0, (answer.column ?? 1) - 1));
    this.result.replaceChildren(h("pre", {class: "where"}, `${line}\n${" ".repeat([...before].length)}^`));
  }

  private tell(kind: string, text: string): void {
    put(this.note, "class", `note ${kind}`);
    say(this.note, text);
  }
}
