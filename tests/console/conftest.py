"""A demo organisation behind a real server, and people at real browsers in front of it."""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.roles import Role
from pipelines.demo import load_demo, login
from tests.console.browsers import FLAGS, NAMES, executable, watched

Person = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    path = executable()
    if path is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(NAMES)}): apt-get install chromium")
    # Playwright keeps an event loop in this thread, in which Django would refuse to use the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def demo_server(browser: Browser, committed_db: str, live_server: LiveServer) -> LiveServer:
    load_demo()
    return live_server


@pytest.fixture
def person(browser: Browser, demo_server: LiveServer) -> Generator[Person]:
    """`person(Role.EDITOR)`: someone at a browser of their own, logged in; in the end nothing may have gone wrong."""
    with ExitStack() as stack:
        everything: list[list[str]] = []

        def arrive(role: Role, *, theme: str = "light", width: int = 1280, javascript: bool = True) -> Page:
            context = stack.enter_context(
                browser.new_context(
                    reduced_motion="reduce",  # a colour on its way from one theme to the other is neither
                    base_url=demo_server.url,
                    viewport={"width": width, "height": 900},
                    color_scheme="dark" if theme == "dark" else "light",
                    java_script_enabled=javascript,
                )
            )
            everything.append(watched(context, demo_server.url))
            page = context.new_page()
            page.goto("/admin/login/?next=/admin/")
            log_in(page, role)
            page.wait_for_url("**/admin/")
            return page

        yield arrive
        assert [complaint for complaints in everything for complaint in complaints] == []


def log_in(page: Page, role: Role) -> None:
    """On the page that asks for it, as people do."""
    page.get_by_label("Email").fill(login(role)["email"])
    page.get_by_label("Password").fill(login(role)["password"])
    page.get_by_role("button", name="Log in").click()
