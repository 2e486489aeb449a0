"""The vendor catalogue: which systems can receive events, and what each needs to know. Plain data."""

from collections.abc import Mapping
from types import MappingProxyType

from integrations.vendors.advertising import ADVERTISING
from integrations.vendors.analytics import ANALYTICS
from integrations.vendors.checks import Findings, check_config, json_schema
from integrations.vendors.engagement import ENGAGEMENT
from integrations.vendors.social import SOCIAL
from integrations.vendors.streams import STREAMS
from integrations.vendors.vendor import (
    JSON,
    Cast,
    Field,
    FieldType,
    Variant,
    Vendor,
    nearest_field,
    pointer_to,
    secret_pointers,
    typed_pointers,
)
from integrations.vendors.warehouses import WAREHOUSES

__all__ = [
    "CATEGORIES",
    "JSON",
    "VENDORS",
    "Cast",
    "Field",
    "FieldType",
    "Findings",
    "Variant",
    "Vendor",
    "check_config",
    "json_schema",
    "nearest_field",
    "pointer_to",
    "secret_pointers",
    "typed_pointers",
]

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "advertising": "Advertising",
        "analytics": "Analytics",
        "engagement": "Customer engagement",
        "social": "Social networks",
        "streams": "Streams and webhooks",
        "warehouses": "Warehouses and storage",
    }
)

VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        vendor.key: vendor
        for vendor in sorted(
            (*ADVERTISING, *ANALYTICS, *ENGAGEMENT, *SOCIAL, *STREAMS, *WAREHOUSES),
            key=lambda vendor: (vendor.category, vendor.name.casefold()),
        )
    }
)
