"""The application for WSGI servers: console and API."""

import os

from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from config.rest.servers import readable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_wsgi_application()
# By its name, since it stands on models, and those cannot be imported before Django is set up.
import_string("pipelines.keys.refuse_to_start_without")()
import_string("config.sqlite.keep_readable")()
application = readable(_django)
