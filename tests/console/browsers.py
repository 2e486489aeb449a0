"""A real browser, where the machine has one, and what it says of a page."""

import shutil
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium as root in a container, and quiet: it looks for no updates and calls nobody.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PICTURES = Path("var") / "pictures"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def executable() -> str | None:
    """The browser of this machine, if it has one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Complaints(list[str]):
    """What the browser said against the pages of a test: errors of scripts, blocked styles, requests elsewhere."""


def watched(context: BrowserContext, address: str) -> Complaints:
    """Every complaint of this context's pages, as they come."""
    complaints = Complaints()

    def on_page(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda line: complaints.append(f"{page.url}: {line.text}") if _matters(line) else None)
        page.on("request", lambda request: _note_foreign(request.url, address, complaints))

    context.on("page", on_page)
    return complaints


def _matters(line: Any) -> bool:
    """A 4xx of a page that a test asks for on purpose is no complaint."""
    return line.type == "error" and "the server responded with a status of 4" not in line.text


def _note_foreign(url: str, address: str, complaints: Complaints) -> None:
    if not url.startswith((address, "data:", "about:", "blob:")):
        complaints.append(f"request to another host: {url}")


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands, a line each."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{rule['id']}: {rule['help']} {[node['target'] for node in rule['nodes']][:4]}" for rule in found]


def picture(page: Page, name: str) -> None:
    """A screenshot among the artefacts of the run."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
