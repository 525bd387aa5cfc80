"""A headless Chromium for tests of the page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--disable-dev-shm-usage",
)  # fmt: skip


def executables() -> tuple[str, str]:
    """Chromium and its driver; skips the test where one is missing, or fails it where OPTATHLON_CI is set."""
    paths = [shutil.which("chromium"), shutil.which("chromedriver")]
    if not paths[0] or not paths[1]:
        why = "needs chromium and chromedriver: apt-get install chromium chromium-driver"
        (pytest.fail if os.environ.get("OPTATHLON_CI") else pytest.skip)(why)
    return str(paths[0]), str(paths[1])


class Browser:
    """A Chromium with one page at a time."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, *, dark: bool = False, media: str = "", width: int = 1280, script: bool = True) -> None:
        """Show the file, in the dark or not, on paper or not, so wide, with scripts or without."""
        self.cdp("Emulation.setScriptExecutionDisabled", value=not script)
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.cdp("Emulation.setEmulatedMedia", media=media, features=features)
        self.driver.get(path.as_uri())

    def cdp(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)

    def ask(self, expression: str, *arguments: Any) -> Any:
        """What a JavaScript expression comes to."""
        return self.driver.execute_script(f"return {expression}", *arguments)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def element(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def column(self, number: int) -> list[str]:
        """The first lines of a column of the leaderboard, of the rows that are shown, from top to bottom, without the
        numbers of footnotes."""
        cells = self.all(f"#board tbody tr:not([hidden]) > :nth-child({number})")
        marks = ["".join(mark.text for mark in cell.find_elements("css selector", "sup")) for cell in cells]
        lines = [cell.text.split("\n")[0].strip() for cell in cells]
        return [line.removesuffix(mark) for line, mark in zip(lines, marks, strict=True)]

    def color(self, selector: str, name: str = "background-color") -> str:
        return self.element(selector).value_of_css_property(name)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since this was last called, without those of the browser's own first page: chrome:
        and the data: of its pictures, which leave no machine."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("chrome:", "data:"))]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = executables()
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(running)
    finally:
        running.quit()
