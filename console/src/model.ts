// What the node pushes (src/node/live_feed.h), and what follows from it.

export interface Load {
  state: string;
  uptime_s: number;
  reads_s?: number;
  writes_s?: number;
  failures_s?: number;
  median_ms?: number;
  slow_ms?: number;
  connections?: number;
  hints?: number;
  /** Writes that wait here for others, by their ids. */
  hints_for?: Record<string, number>;
  /** Of the shards that it looks after: how many it compared with their replicas in the last ten minutes. */
  comparison?: {shards: number; compared: number; last_s?: number};
  compared?: number;
  differing?: number;
  store_bytes?: number;
  resident_bytes?: number;
}

export interface ClusterNode {
  id: number;
  name: string;
  address: string;
  cql: number;
  http: number;
  datacenter: string;
  rack: string;
  state: string;
  load?: Load;
  process?: {state: "running" | "frozen" | "starting" | "down"; cut_off: boolean; adopted: boolean};
}

/** The change of members that is under way. */
export interface Change {
  node: string;
  id: number;
  what: "add" | "replace" | "decommission" | "remove" | "rebalance";
  cancelled: boolean;
  ready: boolean;
  shards: number;
  moving: number;
  copying: number;
  settling: number;
  replaces?: string;
}

/** How many shards move between two nodes. */
export interface Move {
  from: number;
  to: number;
  copying: number;
  settling: number;
}

export interface View {
  type: "view";
  self: string;
  cluster: string;
  leader: string;
  local: boolean;
  shards: number;
  nodes: ClusterNode[];
  change?: Change;
  moves?: Move[];
}

export interface Table {
  name: string;
  columns: {name: string; type: string; kind: string}[];
}
export interface Keyspace {
  name: string;
  replication: Record<string, string>;
  tables: Table[];
}
export interface Shard {
  after: string;
  to: string;
  replicas: number[];
  /** The replicas that it shall have, where it moves. */
  target?: number[];
  settling?: boolean;
}
export interface ClusterEvent {
  number: number;
  at_ms: number;
  kind: string;
  text: string;
}

export type Message =
  | View
  | {type: "schema"; keyspaces: Keyspace[]}
  | {type: "shards"; keyspace: string; shards: Shard[]}
  | {type: "events"; events: ClusterEvent[]};

/** The last minute of one node, a value each half second. */
export class History {
  static readonly span = 120;
  readonly throughput: number[] = [];
  readonly latency: number[] = [];

  add(load: Load | undefined): void {
    this.push(this.throughput, (load?.reads_s ?? 0) + (load?.writes_s ?? 0));
    this.push(this.latency, load?.slow_ms ?? 0);
  }
  private push(values: number[], value: number): void {
    values.push(value);
    if (values.length > History.span) values.shift();
  }
}

/** A hue for each node, far apart for neighbours. */
export function hue(id: number): number {
  const first = [217, 38, 160, 338, 268, 190, 12, 92];
  return first[id - 1] ?? (id * 67) % 360;
}

export const levels = ["ONE", "QUORUM", "ALL"] as const;
export type Level = (typeof levels)[number];

export function required(level: Level, replicas: number): number {
  return level === "ONE" ? 1 : level === "ALL" ? replicas : Math.floor(replicas / 2) + 1;
}

const readable = new Set(["up", "suspect", "full", "leaving", "joining", "draining", "drained"]);
const writable = new Set(["up", "suspect", "rebuilding", "leaving", "joining", "draining", "drained"]);

/** How many of the shards have enough live replicas. While one moves, those that it shall have count as well. */
export function answering(shards: Shard[], states: Map<number, string>, level: Level, what: "reads" | "writes"): number {
  const able = what === "reads" ? readable : writable;
  const enough = (ids: number[]) => alive(ids, states, able) >= required(level, ids.length);
  return shards.filter((shard) => enough(shard.replicas) &&
      (!shard.target || (what === "reads" && !shard.settling) || enough(shard.target))).length;
}

export function alive(ids: number[], states: Map<number, string>, able = readable): number {
  return ids.filter((id) => able.has(states.get(id) ?? "down")).length;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return number === 1 ? `1 ${one}` : `${number < 1000 ? number : short(number)} ${many}`;
}

export function short(value: number): string {
  if (value >= 1e6) return (value / 1e6).toFixed(1) + " M";
  if (value >= 1e4) return (value / 1e3).toFixed(0) + " k";
  if (value >= 1e3) return (value / 1e3).toFixed(1) + " k";
  return value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1);
}

export function bytes(value: number): string {
  if (value >= 1 << 30) return (value / (1 << 30)).toFixed(1) + " GiB";
  return value >= 1 << 20 ? Math.round(value / (1 << 20)) + " MiB" : Math.round(value / 1024) + " KiB";
}

export function milliseconds(value: number): string {
  if (value === 0) return "–";
  return value >= 100 ? value.toFixed(0) + " ms" : value >= 1 ? value.toFixed(1) + " ms" : value.toFixed(2) + " ms";
}

export function duration(seconds: number): string {
  if (seconds < 120) return Math.round(seconds) + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  return seconds < 172800 ? Math.round(seconds / 3600) + " h" : Math.round(seconds / 86400) + " d";
}
