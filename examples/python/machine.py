"""A machine of Dimmer for tests: `dimmer run` as a child, its REST API, and what `dimmer-lab` says of its guest."""

import http.client
import json
import pathlib
import socket
import subprocess
import time

CMDLINE = "console=ttyS0 panic=-1 memhp_default_state=online memory_hotplug.online_policy=auto-movable"
PATIENCE = 240


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Machine:
    """A running machine; `with` ends it."""

    def __init__(self, folder, *arguments, kernel="6.12"):
        folder = pathlib.Path(folder)
        self.api, self.agent = folder / "api", folder / "agent"
        image, initramfs = output("dimmer-lab", "images", "path", kernel).split()
        command = ["dimmer", "run", "--kernel", image, "--initramfs", initramfs, "--cmdline", CMDLINE]
        command += ["--api-socket", self.api, "--agent-socket", self.agent, "--serial", f"file={folder / 'console'}"]
        self.process = subprocess.Popen([*command, *arguments])

    def __enter__(self):
        end = time.monotonic() + PATIENCE
        while not self.api.exists():
            assert self.process.poll() is None, f"dimmer run ended with {self.process.returncode}"
            assert time.monotonic() < end, "there is no API"
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, method, path, body=None):
        """A request; gives the status and the answer. Paths are those of GET /api/v1/openapi.json."""
        connection = Connection(self.api)
        headers = {"Content-Type": "application/json"}
        connection.request(method, "/api/v1" + path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def layout(self):
        """What the guest shows once it has settled: its memory blocks by number."""
        sockets = ["--agent-socket", self.agent, "--timeout", str(PATIENCE)]
        layout = json.loads(output("dimmer-lab", "layout", "--json", "--settled", *sockets))
        return {block["index"]: block for block in layout["blocks"]}


def output(*command):
    """What a command prints; it must succeed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
