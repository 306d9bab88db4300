"""A real Chromium, driven over WebDriver. Only what is under this module knows Selenium."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE: Final = 60
"""Seconds that anything on a page may take."""


class Outcome(NamedTuple):
    """How something that was done on the page ended: ``done`` or ``error``, what the page says, and what it shows."""

    kind: str
    message: str
    output: Any


class Page:
    """The example's page in one window."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, address: str) -> Outcome:
        """Load this address; how the page begins."""
        self._driver.get("about:blank")  # or an address that differs in its fragment alone would not be loaded
        self._driver.get(address)
        return self.outcome()

    def reload(self) -> Outcome:
        """Load the page again; how it begins."""
        self._driver.refresh()
        return self.outcome()

    def press(self, button: str) -> Outcome:
        """Press the button with this id, or the one of the form; how that ends."""
        selector = "#enrolment button" if button == "enrol" else f"#{button}"
        self._driver.find_element(By.CSS_SELECTOR, selector).click()
        return self.outcome()

    def outcome(self) -> Outcome:
        """How the last thing ended, once it has."""
        wait = WebDriverWait(self._driver, PATIENCE)
        wait.until(lambda _: self._attribute("message", "data-kind") in ("done", "error"))
        output = self._text("output")
        kind = str(self._attribute("message", "data-kind"))
        return Outcome(kind, self._text("message"), json.loads(output) if output else None)

    def type(self, field: str, text: str) -> None:
        """Write this into an empty field."""
        self._driver.find_element(By.ID, field).send_keys(text)

    @property
    def address(self) -> str:
        """What stands in the address bar."""
        return str(self._driver.current_url)

    @property
    def state(self) -> str:
        """Whether it is enrolled, and as what."""
        return self._text("state")

    @property
    def code(self) -> str:
        """What stands in the field for the enrolment code."""
        return str(self._driver.find_element(By.ID, "code").get_property("value"))

    def run(self, script: str) -> Any:
        """What an asynchronous function with this body returns, run by an attacker in the page."""
        done = "const done = arguments[arguments.length - 1];"
        return self._driver.execute_async_script(
            f"{done} (async () => {{ {script} }})().then(done, (error) => done(`threw ${{error.name}}`));"
        )

    def run_before_load(self, script: str) -> None:
        """Run this before any script of a page that is loaded from now on."""
        self._driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})

    def _attribute(self, element: str, name: str) -> str | None:
        value = self._driver.find_element(By.ID, element).get_attribute(name)
        return None if value is None else str(value)

    def _text(self, element: str) -> str:
        return str(self._driver.find_element(By.ID, element).text)


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A Chromium whose profile is in ``folder``; started there once more, it has what it had."""
    options = ChromeOptions()
    options.binary_location = program("chromium")
    options.add_argument("--headless=new")
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.add_argument("--disable-dev-shm-usage")  # in a container there is often little shared memory
    options.add_argument("--disable-background-networking")
    options.add_argument("--no-first-run")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium does not start as root with it
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(folder)}
    service = ChromeService(program("chromedriver"), log_output=str(folder / "driver.log"), env=environment)
    driver = Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield Page(driver)
    finally:
        driver.quit()


def program(name: str) -> str:
    """Where a program is."""
    return shutil.which(name) or name
