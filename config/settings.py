"""Every setting of Pinion, read from the environment only. The README's table says what each variable means."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from environs import validate

from config.environment import development_keys, environment, long_enough, settle
from config.operations import ENUM_NAMES, TAGS

BASE_DIR = Path(__file__).resolve().parent.parent

REQUIRED: Any = ...  # as environs spells it
env = environment()

# A machine where nothing is configured is a development machine: setting SECRET_KEY is what makes it a real one.
DEBUG: bool = env.bool("DEBUG", default=not env.str("SECRET_KEY", default=""))
_made = development_keys(BASE_DIR / "var") if DEBUG else {}

SECRET_KEY: str = env.str("SECRET_KEY", default=_made.get("SECRET_KEY", REQUIRED))
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
PINION_SECRET_KEYS: dict[str, bytes] = env.key_ring("PINION_SECRET_KEYS", _made.get("PINION_SECRET_KEYS", REQUIRED))
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else REQUIRED)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PORT: int = env.int("PORT", default=8084, validate=validate.Range(1, 65535))
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'var' / 'pinion.sqlite3'}")}

ACCESS_TOKEN_LIFETIME = timedelta(seconds=env.int("ACCESS_TOKEN_SECONDS", default=900, validate=validate.Range(1)) or 0)
REFRESH_TOKEN_LIFETIME = timedelta(days=env.int("REFRESH_TOKEN_DAYS", default=14, validate=validate.Range(1)) or 0)
LOGIN_ATTEMPTS: int = env.int("LOGIN_ATTEMPTS", default=5, validate=validate.Range(1))
LOGIN_LOCKOUT = timedelta(seconds=env.int("LOGIN_LOCKOUT_SECONDS", default=900, validate=validate.Range(1)) or 0)
PROCESSOR_LIVENESS = timedelta(
    seconds=env.int("PROCESSOR_LIVENESS_SECONDS", default=120, validate=validate.Range(60)) or 0
)
REPORT_RETENTION = timedelta(days=env.int("REPORT_RETENTION_DAYS", default=7, validate=validate.Range(1)) or 0)
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", default=0, validate=validate.Range(0))
REQUEST_SECONDS: int = env.int("REQUEST_SECONDS", default=20, validate=validate.Range(1, 600))
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_HSTS_SECONDS: int = env.int(
    "SECURE_HSTS_SECONDS", default=0 if DEBUG else 31_536_000, validate=validate.Range(0)
)
FEED_RETENTION_DAYS: int = env.int("FEED_RETENTION_DAYS", default=30, validate=validate.Range(1, 36_500))
FEED_HEARTBEAT_SECONDS: int = env.int("FEED_HEARTBEAT_SECONDS", default=10, validate=validate.Range(1, 15))
FEED_CACHE_MB: int = env.int("FEED_CACHE_MB", default=64, validate=validate.Range(1, 1_000_000))
ACCEPT_LOST_SECRETS: bool = env.bool("ACCEPT_LOST_SECRETS", default=False)
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="", validate=long_enough)
METRICS_FOLDER: str = env.str("PROMETHEUS_MULTIPROC_DIR", default="")  # which the library reads itself, too
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
settle(env)

SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEBUG
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "pipelines.admin.returning.csrf_failure"
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}
SECURE_CSP_DOCS = SECURE_CSP | {"style-src": ["'self'", "'unsafe-inline'"]}  # Swagger UI styles its own elements
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.security.Concealing"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "config.apps.Wiring",
    "accounts",
    "integrations",
    "pipelines",
    "config.console.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "config.metrics.Measured",
    "config.security.GuardingHeaders",
    "config.rest.requests.RequestId",
    "config.rest.errors.ApiErrors",
    "config.rest.bodies.ReadableRequests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.rest.writes.Writes",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.GuardedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG

# The largest body that any endpoint has a use for is a config of 256 KiB, escaped, in an envelope.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api.permissions.IsAdmin"],  # an endpoint that says nothing is closed
    "DEFAULT_PARSER_CLASSES": ["config.rest.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.rest.parsers.AlwaysJSON",
    "DEFAULT_PAGINATION_CLASS": "config.rest.pages.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["config.rest.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "config.rest.schema.EndpointSchema",
    "EXCEPTION_HANDLER": "config.rest.errors.handle",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Pinion",
    "DESCRIPTION": "Which vendors receive events from which pipeline, at which configuration version.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/v1",
    "COMPONENT_SPLIT_PATCH": False,  # PUT and PATCH take the same body
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": ENUM_NAMES,
    "SORT_OPERATIONS": False,
    "TAGS": TAGS,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},  # nothing is asked of another host
    "POSTPROCESSING_HOOKS": [
        "config.rest.schema.name_enums_by_value",
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.rest.schema.complete",
        "config.rest.schema.order_methods",
        "config.rest.links.add_links",
    ],
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "config.logs.WithRequestId"}},
    "formatters": {"json": {"()": "config.logs.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": []},  # else the console shows every record twice while DEBUG is on
        "httpx": {"level": "WARNING"},  # at INFO it writes a line for each poll of manage.py watch_feed
        "django.db.backends": {"level": "INFO"},  # at DEBUG it writes whole statements, with every value in them
    },
}
