"""The report in Chromium: opened from the disk, followed by keyboard and clicks, in light and dark, and printed."""

import base64
from pathlib import Path
from typing import Any

from tests.analysis.report.build import foreign, month
from tests.far_end.browser import Browser, chromium, needs_chromium

pytestmark = needs_chromium
_TAB, _ENTER = "\ue004", "\ue007"
# What the eye sees where an element stands, and whether it is there at all.
_SHOWN = "const { top, height } = document.querySelector(arguments[0]).getBoundingClientRect();"
_SHOWN += "return height > 0 && top < innerHeight && top > -1"


def tell(browser: Browser, command: str, **arguments: Any) -> Any:
    """A command of Chromium's own protocol."""
    return browser.ask("goog/cdp/execute", {"cmd": command, "params": arguments})


def paint(browser: Browser, scheme: str) -> str:
    tell(browser, "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    return str(browser.run("return getComputedStyle(document.body).backgroundColor"))


def test_the_report_is_read_offline_by_keyboard_in_light_and_dark_and_printed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(month(networks=8), encoding="utf-8")
    with chromium("") as browser:
        browser.open(path.as_uri())
        first = browser.text("h1")
        widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        before = browser.run(_SHOWN, "#cell9")
        browser.run("document.querySelector('a[href=\"#cell9\"]').focus()")
        browser.type(_ENTER)
        after = browser.run(_SHOWN, "#cell9")
        steps = browser.text("#cell9")
        browser.click("#cell9 a")
        back = browser.run(_SHOWN, "#matrix")
        browser.run("document.querySelector('.figures summary').focus()")
        browser.type(_ENTER)
        figures = browser.text(".figures li")
        browser.open(path.as_uri())
        browser.type(_TAB)
        skip = browser.run("return document.activeElement.getAttribute('href')")
        light, dark = paint(browser, "light"), paint(browser, "dark")
        ink = browser.run("return getComputedStyle(document.querySelector('svg text')).fill")
        printed = base64.b64decode(tell(browser, "Page.printToPDF", printBackground=True)["data"])
        asked, complaints = browser.requests("file:"), browser.complaints()

    assert first.startswith("Calls on Paperplane fail on 7 of 8 networks of France")
    assert widths == [360, 360]
    assert (before, after, back) == (False, True, True)
    assert "9 times: no answer in time" in steps
    assert "AS1 Net" in figures
    assert skip == "#report"
    assert (light, dark, ink) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)", "rgb(232, 234, 237)")
    assert printed.startswith(b"%PDF")
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()}
    assert complaints == []


def test_nothing_foreign_runs_or_is_fetched(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    bad = "<img src=//192.0.2.1/x onerror=document.title=1><script>document.title=1</script>"
    path.write_text(foreign(bad), encoding="utf-8")
    with chromium("") as browser:
        browser.open(path.as_uri())
        title, images = browser.run("return [document.title, document.images.length]")
        asked, complaints = browser.requests("file:"), browser.complaints()

    assert (title != "1", images, complaints) == (True, 0, [])
    assert asked == {path.as_uri()}
