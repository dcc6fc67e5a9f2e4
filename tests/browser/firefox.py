"""Firefox as it is installed, by WebDriver BiDi: playwright drives a build of its own alone."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from websocket import create_connection

LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class Firefox:
    """One page of 1280 x 800; `wrong` holds the errors that it logs."""

    def __init__(self, place: str, profile: Path) -> None:
        command = [place, "--headless", "--no-remote", "--profile", str(profile)]
        self._process = subprocess.Popen(
            [*command, "--remote-debugging-port=0"], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        found = next(filter(None, map(LISTENS.search, self._process.stderr)))
        self._socket = create_connection(f"{found[1]}/session", suppress_origin=True, timeout=30)
        self._number, self.wrong = 0, list[str]()
        self._send("session.new", capabilities={})
        self._send("session.subscribe", events=["log.entryAdded"])
        self._page = self._send("browsingContext.getTree")["contexts"][0]["context"]
        self._send_to_page("browsingContext.setViewport", viewport={"width": 1280, "height": 800})

    def goto(self, address: str) -> None:
        self._send_to_page("browsingContext.navigate", url=address, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a function of the page returns, a promise awaited; both as JSON."""
        given = {"type": "string", "value": json.dumps(argument)}
        told = self._send(
            "script.callFunction",
            functionDeclaration=f"async (given) => JSON.stringify("
            f"(await ({function})(JSON.parse(given))) ?? null)",
            awaitPromise=True,
            target={"context": self._page},
            arguments=[given],
        )
        assert told["type"] == "success", told
        return json.loads(told["result"]["value"])

    def move(self, x: float, y: float, click: bool = False) -> None:
        """The pointer to a place of the page."""
        actions: list[dict[str, Any]] = [{"type": "pointerMove", "x": round(x), "y": round(y)}]
        if click:
            actions += [{"type": each, "button": 0} for each in ("pointerDown", "pointerUp")]
        pointer = {"type": "pointer", "id": "mouse", "actions": actions}
        self._send_to_page("input.performActions", actions=[pointer])

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _send_to_page(self, method: str, **given: Any) -> dict[str, Any]:
        return self._send(method, context=self._page, **given)

    def _send(self, method: str, **given: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self.wrong.append(said["params"]["text"])
            if said.get("id") == self._number:
                assert said["type"] == "success", said
                result: dict[str, Any] = said["result"]
                return result
