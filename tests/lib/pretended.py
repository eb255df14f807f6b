"""Nodes that answer over HTTP as the test tells them, for commands that ask nodes."""

import http.server
import json
import os
import socket
import subprocess
import threading

ASTERISM = os.environ.get("ASTERISM", "./asterism")


def command(*arguments, timeout=30, **options):
    return subprocess.run([ASTERISM, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)


def status_of(name, state="serving", applied=7, leader="n1"):
    return {"name": name, "id": int(name[1:]), "state": state, "cluster": "asterism", "uptime_s": 12.5,
            "metadata": {"leader": leader, "applied": applied},
            "nodes": [{"name": f"n{k}", "address": f"127.0.0.{k}", "up": True} for k in (1, 2, 3)],
            "shards": {"total": 48, "keyspaces": {"shop": 32, "logs": 16}}, "memory_bytes": 3 << 20}


class Node:
    """Answers (method, path) with (code, body), or with what a function of headers and body makes of a request; a body
    that is no string is sent as JSON."""

    def __init__(self, address, answers):
        self.asked = []
        node = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                node.asked.append((self.command, self.path))
                answer = answers.get((self.command, self.path), (404, "no such thing"))
                code, body = answer(self.headers, asked) if callable(answer) else answer
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def unused_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def serving(name, **more):
    return {("GET", "/status"): (200, status_of(name, **more))}
