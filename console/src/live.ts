// The connection to /live, made again when it breaks; and requests to the node.
import type {Message} from "./model";

export class Live {
  private socket?: WebSocket;
  private keyspace?: string;
  private wait = 250;

  constructor(private readonly on: (message: Message) => void, private readonly onState: (open: boolean) => void) {
    this.open();
  }

  choose(keyspace: string): void {
    this.keyspace = keyspace;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({keyspace}));
  }

  private open(): void {
    const socket = (this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`));
    let patience = 0;
    // A node that is frozen keeps its connections and says nothing.
    const heard = () => {
      clearTimeout(patience);
      patience = window.setTimeout(() => this.onState(false), 2000);
    };
    socket.onopen = () => {
      this.wait = 250;
      if (this.keyspace !== undefined) this.choose(this.keyspace);
      heard();
    };
    socket.onmessage = (event) => {
      heard();
      this.onState(true);
      this.on(JSON.parse(event.data as string) as Message);
    };
    socket.onclose = () => {
      clearTimeout(patience);
      this.onState(false);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, 4000);
    };
  }
}

export interface Answer {
  kind: "rows" | "done" | "keyspace" | "schema" | "error";
  ms: number;
  columns?: {name: string; type: string}[];
  rows?: (string | null)[][];
  next?: string;
  warnings?: string[];
  keyspace?: string;
  change?: string;
  name?: string;
  code?: string;
  message?: string;
  line?: number;
  column?: number;
}

export interface Request {
  statement: string;
  keyspace?: string;
  consistency?: string;
  page_size?: number;
  page?: string;
}

async function post(path: string, body: unknown): Promise<any> {
  const response = await fetch(path, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body),
  });
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return {error: text.trim() || `${response.status} ${response.statusText}`};
  }
}

export async function run(request: Request): Promise<Answer> {
  try {
    const answer = await post("/cql", request);
    if (answer.kind) return answer as Answer;
    return {kind: "error", ms: 0, name: "Refused", message: answer.error};
  } catch {
    return {kind: "error", ms: 0, name: "NoAnswer", message: "The node does not answer."};
  }
}

/** What went wrong, or nothing. A node that killed itself cannot answer, and the page shows that. */
export async function act(node: string, action: string): Promise<string | undefined> {
  try {
    return (await post(`/local/nodes/${encodeURIComponent(node)}/${action}`, {})).error;
  } catch {
    return undefined;
  }
}
