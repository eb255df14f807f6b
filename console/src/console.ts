// The console: puts the parts together and hands each what the node pushes.
import {ChangePanel} from "./change";
import {h, options, put, say} from "./dom";
import {Levels} from "./levels";
import {Live} from "./live";
import type {ClusterEvent, Keyspace, Message, View} from "./model";
import {changeMembers, Nodes} from "./nodes";
import {Sky} from "./sky";
import {Tables} from "./tables";

const eventsMax = 100;

const title = h("span", {class: "cluster"});
const summary = h("p", {class: "summary"});
const banner = h("div", {class: "banner", role: "alert", hidden: true});
const problem = h("div", {class: "banner problem", role: "alert", hidden: true});
const events = h("ol", {class: "events", tabindex: 0, "aria-live": "polite", "aria-label": "Events"},
                 h("li", {class: "hint"}, "Nothing has happened yet."));
const chosen = h("select", {id: "keyspace"});

let hideProblem = 0;
function complain(text: string | undefined): void {
  if (!text) return;
  say(problem, text);
  problem.hidden = false;
  clearTimeout(hideProblem);
  hideProblem = window.setTimeout(() => (problem.hidden = true), 6000);
}
const nodes = new Nodes(complain);
const change = new ChangePanel(async (node) => complain(await changeMembers(node, "cancel")));
const add = h("button", {type: "button", class: "add", hidden: true, "aria-label": "Add a node"}, "Add a node");
add.addEventListener("click", async () => complain(await changeMembers("new", "add")));
const sky = new Sky((id) => nodes.mark(id));
const levels = new Levels();
const tables = new Tables();

let view: View | undefined;
let newest = 0;

function showEvents(news: ClusterEvent[]): void {
  // A node that was started again counts from one.
  if (news.length > 0 && news[news.length - 1]!.number < newest) newest = 0;
  const unknown = news.filter((event) => event.number > newest);
  if (unknown.length === 0) return;
  newest = unknown[unknown.length - 1]!.number;
  events.querySelector(".hint")?.remove();
  for (const event of unknown) {
    const time = new Date(event.at_ms);
    events.prepend(h("li", {class: event.kind},
      h("time", {datetime: time.toISOString()}, time.toLocaleTimeString([], {hour12: false})), event.text));
  }
  while (events.childElementCount > eventsMax) events.lastElementChild!.remove();
}

function showView(news: View): void {
  view = news;
  say(title, news.cluster === "asterism" ? "" : news.cluster);
  const up = news.nodes.filter((node) => node.state === "up" || node.state === "leaving").length;
  const members = news.nodes.filter((node) => node.state !== "joining").length;
  say(summary, `${up} of ${members} nodes up · ${news.shards} shards · seen from ${news.self}`);
  sky.setView(news);
  nodes.update(news);
  change.update(news);
  legend.classList.toggle("changing", news.change !== undefined);
  add.hidden = !news.local;
  add.disabled = news.change !== undefined;
  levels.setView(news);
  // Below many nodes nobody would find the events.
  const column = news.nodes.length > 4 ? left : right;
  if (eventsPanel.parentElement !== column) column.append(eventsPanel);
}

function showSchema(keyspaces: Keyspace[]): void {
  tables.setSchema(keyspaces);
  const names = keyspaces.map((keyspace) => keyspace.name);
  const before = chosen.value;
  options(chosen, names.length > 0 ? names : [""]);
  if (chosen.value !== before || before === "") choose();
}

function choose(): void {
  live.choose(chosen.value);
}

function receive(message: Message): void {
  if (message.type === "view") showView(message);
  else if (message.type === "schema") showSchema(message.keyspaces);
  else if (message.type === "events") showEvents(message.events);
  else if (message.keyspace === chosen.value) {
    sky.setShards(message.shards);
    levels.set(message.keyspace, message.shards);
  }
}

function setOpen(open: boolean): void {
  document.body.classList.toggle("stale", !open);
  if (banner.hidden === open) return;
  banner.hidden = open;
  if (open) return;
  const others = view?.nodes.filter((node) => node.name !== view!.self) ?? [];
  banner.replaceChildren(`${view ? view.self : "This node"} does not answer. `, others.length > 0 && "Go on at " || "",
    ...others.flatMap((node, i) => [i > 0 ? " · " : "",
      h("a", {href: `${location.protocol}//${node.address}:${node.http}/${location.hash}`}, node.name)]));
}

const pages = {sky: "Sky", tables: "Tables"} as const;
const tabs = new Map<string, HTMLAnchorElement>();
for (const [name, label] of Object.entries(pages)) tabs.set(name, h("a", {href: `#${name}`}, label));

const legend = h("p", {class: "legend"}, h("span", {class: "full"}, "all replicas live"),
  h("span", {class: "some"}, "a quorum"), h("span", {class: "few"}, "fewer"), h("span", {class: "none"}, "none"),
  h("span", {class: "moves"}, "copying"), h("span", {class: "settles"}, "settling"));
const eventsPanel = h("section", {class: "panel events-section"}, h("h2", {}, "Events"), events);
const left = h("div", {class: "column"},
  h("section", {class: "panel constellation", "aria-label": "Constellation"},
    h("div", {class: "head"}, h("label", {for: "keyspace"}, "Shards of"), chosen), sky.element,
    legend),
  h("section", {class: "panel"}, h("h2", {}, "What clients get"), levels.element));
const right = h("div", {class: "column"},
  h("section", {class: "nodes-section", "aria-label": "All nodes"}, nodes.element, add), eventsPanel);
const skyPage = h("main", {class: "sky-page"}, left, right);
const tablesPage = h("main", {class: "tables-page"}, tables.element);

function route(): void {
  const page = location.hash === "#tables" ? "tables" : "sky";
  skyPage.hidden = page !== "sky";
  tablesPage.hidden = page !== "tables";
  for (const [name, tab] of tabs) put(tab, "aria-current", name === page ? "page" : "false");
}

document.getElementById("app")!.replaceChildren(
  h("header", {class: "top"},
    h("h1", {}, h("img", {src: "/icon.svg", alt: "", width: 26, height: 26}), "Asterism", title),
    h("nav", {"aria-label": "Pages"}, ...tabs.values()), summary),
  banner, problem, change.element, skyPage, tablesPage);
chosen.addEventListener("change", choose);
window.addEventListener("hashchange", route);
route();
const live = new Live(receive, setOpen);
