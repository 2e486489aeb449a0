"""A pytest plugin, loaded before the settings are: the environment and the few settings that tests run with."""

import os
import signal
from collections.abc import Generator

import pytest
from django.conf import settings

ENVIRONMENT = {
    "DEBUG": "true",
    "SECRET_KEY": "a key for tests, which protects nothing and is long enough to be taken for one",
    "PINION_SECRET_KEYS": "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}

# What somebody exported for a server of theirs has no say in what the tests do.
FORGOTTEN = (
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "PORT",
    "SECRET_KEY_FALLBACKS",
    "ACCESS_TOKEN_SECONDS",
    "REFRESH_TOKEN_DAYS",
    "LOGIN_ATTEMPTS",
    "LOGIN_LOCKOUT_SECONDS",
    "TRUSTED_PROXIES",
    "REQUEST_SECONDS",
    "SECURE_SSL_REDIRECT",
    "SECURE_HSTS_SECONDS",
    "FEED_RETENTION_DAYS",
    "FEED_HEARTBEAT_SECONDS",
    "FEED_CACHE_MB",
    "METRICS_TOKEN",
    "PROMETHEUS_MULTIPROC_DIR",
    "ACCEPT_LOST_SECRETS",
    "LOG_LEVEL",
)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Runs around pytest-django's hook of this name, which loads the settings."""
    for name in FORGOTTEN:
        os.environ.pop(name, None)
    os.environ.update(ENVIRONMENT)
    yield


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    # A shell starts what goes on in the background deaf to Ctrl-C, and so would be every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The real hasher is slow on purpose: the suite would spend nine tenths of its time there.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
