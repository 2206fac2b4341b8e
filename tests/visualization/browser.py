"""A headless Chromium for tests, spoken to over a pipe in the DevTools protocol: nothing to install, no port."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]
PATIENCE = 60.0


def find_browser() -> str | None:
    """Chromium's program, if there is one."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page in one Chromium.

    Attributes:
        noise: what the console said, and exceptions that nobody caught.
        requests: the addresses that were asked for.
    """

    def __init__(self, program: str, profile: Path, *flags: str) -> None:
        (their_in, self._out), (self._in, their_out) = (_pipe(), _pipe())
        command = [program, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        script = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        self._buffer, self._number, self._session = b"", 0, ""
        self.noise: list[str] = []
        self.requests: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")  # its own page comes when it likes
        attached = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        for end in (self._out, self._in):
            os.close(end)  # it ends when its pipe does
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self._note(answer)
        raise TimeoutError(f"{method}: no answer")

    def open(self, page: Path, width: int = 1400, height: int = 900, fragment: str = "") -> None:
        """Load a page at a size, and wait until its script has run."""
        self.noise.clear()
        self.requests.clear()
        self.resize(width, height)
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=page.as_uri() + fragment)
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def resize(self, width: int, height: int, *, touch: bool = False) -> None:
        """Give the page another size."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)

    def prefer(self, **features: str) -> None:
        """Set what the reader prefers, such as ``prefers_color_scheme="dark"``."""
        given = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=given)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", script))
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.02)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send an event of the mouse: ``mouseMoved``, ``mousePressed``, ``mouseReleased``, ``mouseWheel``."""
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Move there, press and let go."""
        self.mouse("mouseMoved", x, y)
        for kind, held in (("mousePressed", 1), ("mouseReleased", 0)):
            self.mouse(kind, x, y, button="left", buttons=held, clickCount=1)

    def press(self, key: str) -> None:
        """Press a key: a name such as ``Enter``, or the character it writes."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {
            "Enter": 13,
            "Escape": 27,
            "Tab": 9,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        more = {"windowsVirtualKeyCode": code[key]} if key in code else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, **more)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, **more)

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], PATIENCE)[0]:
                raise TimeoutError("the browser is silent")
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser went away")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(message))

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message["method"] == "Runtime.consoleAPICalled":
            self.noise.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif message["method"] == "Runtime.exceptionThrown":
            self.noise.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif message["method"] == "Log.entryAdded":
            self.noise.append(params["entry"]["text"])
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not 3 and 4, which the browser wants to have."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
