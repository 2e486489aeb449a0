"""The console's door to templates, revisions and the catalogue."""
