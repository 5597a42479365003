"""One command: its arguments, the agent it speaks to, and the terminal it writes on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from backy_core.cli.exits import Exit
from backy_core.cli.screen import Screen
from backy_core.cli.stop import Stop
from backy_core.client.address import ROOT_SOCKET, Address, at_socket, parse
from backy_core.client.calls import Call
from backy_core.client.sync import Client

T = TypeVar("T")


class Session:
    """Handed to the function of a command."""

    def __init__(self, arguments: argparse.Namespace, env: Mapping[str, str]) -> None:
        self.arguments = arguments
        self.env = env
        self.screen = Screen(env)
        self.json = self.flag("json")
        self._client: Client | None = None

    def flag(self, name: str) -> bool:
        return bool(getattr(self.arguments, name, False))

    def option(self, name: str, default: Any = None) -> Any:
        return getattr(self.arguments, name, default)

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(*self._agent())
        return self._client

    def send(self, call: Call[T]) -> T:
        """The reply's body."""
        return self.client.send(call)

    def _agent(self) -> tuple[Address, str]:
        """The address and the key: of the flags, the environment, a context, or this machine."""
        from_env = self.env.get("BACKY_API_KEY", "").strip()
        if not from_env.isprintable():
            raise Stop("BACKY_API_KEY holds more than one line", status=Exit.CONFIG)
        url = self.option("url")
        context = None if url else self.option("context")
        if not context:
            url = url or self.env.get("BACKY_URL")
        if not url:
            from backy_core.cli.context_file import chosen

            known = chosen(context or self.env.get("BACKY_CONTEXT"), self.env)
            if known is None:
                return self._on_this_machine(), ""
            url, key = known["url"], known["key"]
            from_env = from_env or key
        try:
            return parse(url), from_env
        except ValueError as error:
            raise Stop(str(error)) from error

    def _on_this_machine(self) -> Address:
        directory = self.env.get("BACKY_RUNTIME_DIR")
        return at_socket(f"{directory}/backy.sock" if directory else ROOT_SOCKET)

    def where_to_look(self) -> tuple[str, ...]:
        """Advice for an agent that cannot be reached."""
        if self._client is None or not self._client.address.path:
            return ("Check the address, and that the agent runs there.",)
        if os.geteuid() != 0:
            return (
                "Only root can use the agent of this machine without a key: try sudo.",
                "Otherwise give its address and key: BACKY_URL, BACKY_API_KEY.",
            )
        return ("Start the agent: systemctl start backy",)

    def show(self, reply: object) -> None:
        """Print a reply for programs."""
        print(json.dumps(reply, indent=2 if sys.stdout.isatty() else None))

    def tell(self, reply: object, sentence: str) -> None:
        """The reply for programs, or what it means for people."""
        if self.json:
            self.show(reply)
        else:
            self.say(sentence)

    def say(self, text: str = "") -> None:
        print(self.screen.prose(text))

    def note(self, text: str) -> None:
        """Beside the result: it does not disturb who reads that."""
        print(self.screen.prose(text), file=sys.stderr)

    def complain(self, message: str, *advice: str) -> None:
        print(self.screen.prose(f"backy: {message}", "       "), file=sys.stderr)
        for line in filter(None, advice):
            print(self.screen.prose(f"       {line}", "       "), file=sys.stderr)
