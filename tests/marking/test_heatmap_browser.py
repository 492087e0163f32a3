"""The heat map in a real browser: the script runs under the page's own policy and does what it says."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.compression.profile import Profile
from penchant.history.records import History, Record, Request
from penchant.marking.heatmap import heatmap_html
from penchant.marking.marks import Marks
from tests.marking.cases import START, whole_records

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
READY = bool(CHROMIUM and DRIVER and importlib.util.find_spec("selenium"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not READY and os.environ.get("CI") != "true", reason="Chromium, its driver or selenium is missing"
    ),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,900"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PWN = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>"


def write_page(where: Path, best: int = 3) -> str:
    texts = [f"entry {i} about {'walnut bread' if i % 10 == 3 else 'nothing much'}" for i in range(200)]
    texts[150] = PWN
    history = History(Record(t, id=f"r{i}", when=START + timedelta(days=3 * (i - i % 2))) for i, t in enumerate(texts))
    segments = tuple(whole_records(history))
    scores = np.linspace(0, 1, 200, dtype=np.float32)
    scores[[3, 150]] = [9.0, 8.0]
    scores[best] = 10.0
    marks = Marks(segments, scores, "attention", heads=((3, 1),), layers_run=4, history_tokens=900)
    kept = (segments[3], segments[20])
    profile = Profile("walnut bread", 18, 18, 900, kept, (9.0, 0.1), "attention", "extractive")
    path = where / "map.html"
    path.write_text(heatmap_html(history, Request("Which bread?"), marks, profile), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    browser.get(write_page(tmp_path))
    assert browser.execute_script("return document.documentElement.dataset.ready") == "1"
    return browser


def wait(page: Any, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 10).until(lambda driver: driver.execute_script(f"return {script}"))


def shown(page: Any) -> list[int]:
    script = "return [...document.querySelectorAll('article')].flatMap((el, i) => el.offsetParent ? [i] : [])"
    return list(page.execute_script(script))


def card(page: Any) -> str:
    script = "return document.getElementById('card').hidden ? '' : document.getElementById('card').innerText"
    return str(page.execute_script(script))


def click(page: Any, selector: str) -> None:
    page.find_element("css selector", selector).click()


def test_hostile_text_does_not_run_and_the_console_is_silent(page: Any) -> None:
    assert page.execute_script("return window.pwned") is None
    assert page.execute_script("return document.getElementById('s150').textContent") == PWN
    assert page.get_log("browser") == []


def test_the_policy_stops_a_script_that_is_not_ours(page: Any) -> None:
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.late = 1'; document.body.append(s)"
    )
    assert page.execute_script("return window.late") is None
    assert "Content Security Policy" in page.get_log("browser")[0]["message"]


def test_hover_shows_the_card_and_leaving_hides_it(page: Any) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(page).move_to_element(page.find_element("id", "s3")).perform()
    text = card(page)
    for part in ("1", "of 200", "top 1 %", "9", "11 Jan 2023, 09:30 UTC", "r3", "3.1", "yes, in it"):
        assert part in text
    ActionChains(page).move_to_element(page.find_element("id", "search")).perform()
    assert card(page) == ""


def test_keyboard_moves_between_segments_and_escape_closes(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.querySelector('mark[tabindex=\"0\"]').focus()")
    assert "r3" in card(page)
    assert page.execute_script("return document.activeElement.getAttribute('aria-describedby')") == "card"
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert "r4" in card(page)
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert card(page) == ""
    assert page.execute_script("return document.querySelectorAll('mark[tabindex=\"0\"]').length") == 1


def test_a_date_stands_at_the_first_visible_record_of_a_day(page: Any) -> None:
    dates = "return [...document.querySelectorAll('time')].flatMap((el) => el.offsetParent ? [el.textContent] : [])"
    assert page.execute_script(dates)[:3] == ["5 Jan 2023", "11 Jan 2023", "17 Jan 2023"]
    click(page, "#kept")
    assert page.execute_script(dates) == ["11 Jan 2023", "6 Mar 2023"]


def test_search_finds_records_and_says_how_many(page: Any) -> None:
    page.find_element("id", "search").send_keys("WALNUT")
    wait(page, "document.getElementById('count').textContent === '20 of 200 records'")
    assert shown(page) == list(range(3, 200, 10))
    page.find_element("id", "search").send_keys(" nowhere")
    wait(page, "!document.getElementById('nothing').hidden")
    click(page, "#reset")
    assert len(shown(page)) == 200


def test_toggles_keep_marked_records_and_those_of_the_profile(page: Any) -> None:
    click(page, "#marked")
    assert shown(page) == [3, 20, 150, *range(182, 200)]
    assert page.find_element("id", "marked").get_attribute("aria-pressed") == "true"
    click(page, "#kept")
    assert shown(page) == [3, 20]


def test_time_range_filters_by_date(page: Any) -> None:
    move = "const el = document.getElementById('{}'); el.value = {}; el.dispatchEvent(new Event('input'))"
    page.execute_script(move.format("to", 60))
    assert shown(page) == list(range(100))
    assert page.find_element("id", "span").text == "5 Jan 2023 to 29 Oct 2023"
    page.execute_script(move.format("from", 30))
    assert shown(page) == list(range(50, 100))
    page.execute_script(move.format("to", 10))  # the handles can't cross
    assert page.find_element("id", "to").get_attribute("value") == "31"
    assert page.find_element("id", "from").get_attribute("aria-valuetext") == "2 Jun 2023"


def test_the_page_opens_at_the_best_mark(browser: Any, tmp_path: Path) -> None:
    """Far below the first screen: on that, the page would be right without doing anything."""
    browser.get(write_page(tmp_path, best=120))
    box = "(r => r.top > 0 && r.bottom < innerHeight)(document.getElementById('s120').getBoundingClientRect())"
    assert wait(browser, box)
    assert browser.execute_script("return scrollY") > 900
    assert card(browser) == ""


def test_the_strip_and_the_top_marks_lead_to_their_place(page: Any) -> None:
    from selenium.webdriver import ActionChains

    strip = page.find_element("id", "strip")
    ActionChains(page).move_to_element_with_offset(strip, int(strip.size["width"] * 0.4), 0).click().perform()
    top = page.execute_script(
        "const r = document.querySelectorAll('article')[179].getBoundingClientRect(); return r.top"
    )
    assert 0 < top < 900
    click(page, "#topmarks li:nth-child(1) a")
    wait(page, "!document.getElementById('card').hidden")
    box = wait(
        page,
        "(r => r.top > 0 && r.bottom < innerHeight && [r.top])(document.getElementById('s3').getBoundingClientRect())",
    )
    assert box
    assert "of 200" in card(page)
    click(page, "#lower")
    wait(page, "document.getElementById('rank').textContent === '2'")
    assert "r150" in card(page)


def test_the_theme_can_be_switched(page: Any) -> None:
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(colour)
    click(page, "#theme")
    assert page.execute_script(colour) != light
    click(page, "#theme")
    assert page.execute_script(colour) == light


def test_a_phone_needs_no_sideways_scrolling(page: Any) -> None:
    size = {"width": 375, "height": 760, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.refresh()
        assert page.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [375, 375]
        click(page, "#s3")
        assert "r3" in card(page)
        assert page.execute_script("return document.getElementById('card').getBoundingClientRect().width") == 375
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
