"""Headless Chromium as a user sees it, and the pictures that it takes for the documentation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.packaging.test_contracts import CHECKOUT
from tests.servers.catalogue import program
from tests.support.wait import wait_until

PICTURES = os.environ.get("PYNCETTE_PICTURES", "")
"""Not empty: pictures are written into ``docs/img``; else they are taken, and thrown away."""

PATIENCE = 20.0
WIDE = (1280, 900)
NARROW = (390, 844)

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",  # what slides cannot be clicked
    "--lang=en",
)


class Window:
    """One browser window on one Flower."""

    def __init__(self, driver: webdriver.Chrome, root: str) -> None:
        self.driver = driver
        self.root = root

    def open(self, path: str) -> Window:
        """Open a page of this Flower, and wait until all of it is there."""
        self.driver.get(self.root + path)
        return self

    def at(self, root: str) -> Window:
        """The same window on another Flower."""
        return Window(self.driver, root)

    def find(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """What is to be read there; empty if there is nothing."""
        found = self.find(css)
        return found[0].text if found else ""

    def click(self, css: str) -> None:
        """Click what is there, or will be; what is replaced under the mouse is looked for again."""
        self.until(lambda: _clicked(self.find(css)), f"{css} can be clicked")

    def until(self, condition: Callable[[], Any], message: str, seconds: float = PATIENCE) -> Any:
        """Wait until the page is so."""
        said = lambda: f"{message}; the page says:\n{self.text('body')[:2000]}"  # noqa: E731
        return wait_until(condition, seconds, said, every=0.05, swallow=(StaleElementReferenceException,))

    @property
    def names(self) -> list[str]:
        """The entries that are listed."""
        return self.driver.execute_script(
            "return [...document.querySelectorAll('tr[data-name]')].map(r => r.dataset.name)"
        )

    def js(self, script: str, *args: Any) -> Any:
        """What a script returns; of a promise, what it comes to."""
        return self.driver.execute_script(script, *args)

    def complaints(self) -> list[str]:
        """What the browser's console has said about errors since it was asked last."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    def sized(self, width: int, height: int) -> None:
        """Make the window so large, also smaller than Chromium lets a user make it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def picture(self, name: str, width: int = WIDE[0], *, to: str = "main section:last-of-type") -> None:
        """Take a picture of the page, down to the lower end of ``to``."""
        self.sized(width, WIDE[1])
        end = self.js("return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY", to)
        self.sized(width, max(320, min(round(end) + 24, 1100)))
        self.js("scrollTo(0, 0)")
        taken = self.driver.get_screenshot_as_png()
        self.sized(*WIDE)
        if PICTURES:
            place = CHECKOUT / "docs" / "img"
            place.mkdir(exist_ok=True)
            (place / f"{name}.png").write_bytes(taken)

    def overflows(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.js("return document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def _clicked(found: list[WebElement]) -> bool:
    if not found or not found[0].is_displayed():
        return False
    try:
        found[0].click()
    except ElementClickInterceptedException:  # it is still scrolling, or a toast lies over it
        return False
    return True


@contextmanager
def browser(directory: Path) -> Iterator[webdriver.Chrome]:
    """A Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    chromium, driver = program("chromium"), program("chromedriver")
    assert chromium is not None
    assert driver is not None
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={directory}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    running = webdriver.Chrome(options, Service(driver))
    try:
        running.set_page_load_timeout(60)
        Window(running, "").sized(*WIDE)
        yield running
    finally:
        running.quit()
