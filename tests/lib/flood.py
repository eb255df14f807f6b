"""More requests than a node can serve: raw connections that keep many of them under way, and count what comes back."""

import selectors
import struct
import time

from cql import Raw

RESULT, ERROR = 8, 0
OVERLOADED = 0x1001
HEADER = struct.Struct(">BBhBI")


class Flood:
    """Every answer, also a refusal, is followed by the next request at once: nobody backs off."""

    def __init__(self, address, port, statements, connections, pipeline, keys=1 << 62):
        """`statements` take turns. Each has bigint markers only; all of one request get the same number, from 1 to
        `keys` and over again."""
        self.selector = selectors.DefaultSelector()
        self.latencies, self.refused, self.errors = [], 0, {}
        self.asked, self.keys = 0, keys
        self.prepared = []
        self.pipeline = pipeline
        for _ in range(connections):
            raw = Raw(address, port, timeout=10).startup()
            for statement in statements if not self.prepared else []:
                raw.send(Raw.frame(9, struct.pack(">I", len(statement)) + statement.encode()))
                answer = raw.receive()
                assert answer[1] == RESULT, answer
                size = struct.unpack(">H", answer[2][4:6])[0]
                self.prepared.append((answer[2][6:6 + size], statement.count("?")))
            raw.socket.setblocking(False)
            self.selector.register(raw.socket, selectors.EVENT_READ, {"raw": raw, "in": b"", "out": b"", "sent": {}})

    def request(self, stream):
        statement, markers = self.prepared[self.asked % len(self.prepared)]
        key = self.asked // len(self.prepared) % self.keys + 1
        self.asked += 1
        body = (struct.pack(">H", len(statement)) + statement + struct.pack(">HBH", 1, 1, markers) +
                struct.pack(">Iq", 8, key) * markers)
        return HEADER.pack(4, 0, stream, 10, len(body)) + body

    def _ask(self, state, streams):
        now = time.monotonic()
        for stream in streams:
            state["sent"][stream] = now
        state["out"] += b"".join(self.request(stream) for stream in streams)
        self._write(state)

    def _write(self, state):
        try:
            sent = state["raw"].socket.send(state["out"])
            state["out"] = state["out"][sent:]
        except BlockingIOError:
            pass
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if state["out"] else 0)
        self.selector.modify(state["raw"].socket, events, state)

    def run(self, seconds):
        """Again: goes on with what is under way."""
        for key in [] if self.asked else list(self.selector.get_map().values()):
            self._ask(key.data, range(self.pipeline))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, events in self.selector.select(0.1):
                if events & selectors.EVENT_WRITE:
                    self._write(key.data)
                if events & selectors.EVENT_READ:
                    self._read(key.data)

    def _read(self, state):
        try:
            state["in"] += state["raw"].socket.recv(1 << 20)
        except BlockingIOError:
            return
        data, at, now, again = state["in"], 0, time.monotonic(), []
        while len(data) - at >= HEADER.size:
            _, _, stream, opcode, length = HEADER.unpack_from(data, at)
            if len(data) - at < HEADER.size + length:
                break
            if opcode == RESULT:
                self.latencies.append(now - state["sent"][stream])
            else:
                code = struct.unpack_from(">I", data, at + HEADER.size)[0] if opcode == ERROR else -opcode
                if code == OVERLOADED:
                    self.refused += 1
                else:
                    self.errors[code] = self.errors.get(code, 0) + 1
            again.append(stream)
            at += HEADER.size + length
        state["in"] = data[at:]
        if again:
            self._ask(state, again)

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.data["raw"].socket.close()
        self.selector.close()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
