"""The application for WSGI servers: console and API."""

import os

from django.core.wsgi import get_wsgi_application

from config.rest.servers import readable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = readable(get_wsgi_application())
