"""The application for ASGI servers."""

import os

import django

from config.rest.servers import ReadableHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)
application = ReadableHandler()
