"""The ways out of the program: addresses and names that somebody typed lead it to no host and no file."""

import ast

from tests.readme import ROOT

APPS = ("accounts", "config", "integrations", "pipelines")
REACHING = {"httpx", "requests", "socket", "ssl", "smtplib", "ftplib", "aiohttp", "urllib3", "http", "subprocess"}
REACHING_PARTS = {"urllib.request", "django.core.mail", "asyncio.subprocess"}
# Who embeds the client, or runs the command, says where to; both read what comes back and send reports, nothing else.
MAY = {
    "pipelines/client/client.py",
    "pipelines/client/feed.py",
    "pipelines/management/commands/watch_feed.py",
    "pipelines/management/commands/quickstart.py",  # listens
    "config/rest/threads.py",  # stops reading from whoever sends too slowly
    "accounts/management/operators.py",  # asks what this machine is called
}


def imported(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def reaches(module: str) -> bool:
    return module != "http" and (module.split(".", maxsplit=1)[0] in REACHING or module in REACHING_PARTS)


def test_nothing_but_the_client_of_the_feed_opens_a_connection_or_starts_a_program() -> None:
    """So no address that somebody types for a vendor is ever asked for by the server."""
    reaching = {
        str(path.relative_to(ROOT)): sorted(filter(reaches, imported(path.read_text())))
        for app in APPS
        for path in sorted((ROOT / app).rglob("*.py"))
    }
    assert {path: modules for path, modules in reaching.items() if modules and path not in MAY} == {}
