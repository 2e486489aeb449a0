"""The console's door to pipelines and pins, and the console itself."""
