"""Times as people and programs write them."""

from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime


def read_moment(text: str) -> datetime | None:
    """The time in UTC; None for what is no time, a time without a zone, or one outside of the years 1 to 9999."""
    try:
        moment = parse_datetime(text.replace(" ", "+"))  # a plus sign typed into an address arrives as a blank
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
