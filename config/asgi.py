"""The application for ASGI servers: console, API and the runtime feed."""

import os
from typing import Any

import django
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)
# By their names, since they stand on models, and those cannot be imported before Django is set up.
import_string("pipelines.keys.refuse_to_start_without")()
import_string("config.sqlite.keep_readable")()
application: Any = import_string("config.runtime.Application")()
