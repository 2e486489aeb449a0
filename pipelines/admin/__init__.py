"""The console's door to pipelines and pins, and the console itself."""

from django.contrib import admin

from pipelines.admin.pins import PinAdmin
from pipelines.admin.pipelines import PipelineAdmin
from pipelines.models import Pin, Pipeline

admin.site.register(Pipeline, PipelineAdmin)
admin.site.register(Pin, PinAdmin)
