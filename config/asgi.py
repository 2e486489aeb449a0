"""The application for ASGI servers."""

import os

import django

from config.rest.lengths import MeasuringHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)
application = MeasuringHandler()
