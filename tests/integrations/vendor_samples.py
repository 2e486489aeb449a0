"""Configs that fit each vendor, and a made-up vendor with one field of each type."""

from collections.abc import Mapping
from typing import Any

import pytest

from integrations.vendors import VENDORS, Field, Variant, Vendor

SMALLEST: Mapping[str, dict[str, Any]] = {
    "amplitude": {"api_key": "a"},
    "appsflyer": {"app_id": "id1", "s2s_token": "t"},
    "awin": {"advertiser_id": "1", "api_key": "k"},
    "bigquery": {"project_id": "p", "dataset_id": "d", "table_id": "t"},
    "braze": {"api_key": "k", "rest_endpoint": "https://rest.iad-01.braze.com"},
    "customer_io": {"site_id": "s", "api_key": "k"},
    "ga4": {"measurement_id": "G-AAAA", "api_secret": "s"},
    "google_ads": {
        "customer_id": "1",
        "conversion_action_id": "2",
        "developer_token": "d",
        "refresh_token": "r",
    },
    "google_pubsub": {"project_id": "p", "topic_id": "t"},
    "hubspot": {"access_token": "t"},
    "intercom": {"access_token": "t"},
    "iterable": {"api_key": "k"},
    "kafka": {"rest_endpoint": "https://kafka.example.com", "cluster_id": "c", "topic_name": "t"},
    "kinesis": {"region": "eu-west-1", "stream_name": "s"},
    "klaviyo": {"api_key": "k"},
    "linkedin": {"conversion_id": "1", "access_token": "t"},
    "matomo": {"tracking_url": "https://example.com/matomo.php", "idsite": "1"},
    "meta_capi": {"pixel_id": "1234567890", "access_token": "..."},
    "microsoft_ads": {"tag_id": "1", "access_token": "t"},
    "mixpanel": {"token": "t"},
    "mparticle": {"api_key": "k", "api_secret": "s"},
    "onesignal": {"app_id": "a", "api_key": "k"},
    "pinterest": {"ad_account_id": "1", "access_token": "t"},
    "plausible": {"domain": "example.com"},
    "posthog": {"api_key": "phc_1"},
    "reddit": {"pixel_id": "a2_1", "access_token": "t"},
    "redshift": {"region": "eu-west-1", "workgroup_name": "w", "database": "d", "table": "t"},
    "rudderstack": {"write_key": "k", "data_plane_url": "https://example.com"},
    "s3": {"bucket": "b"},
    "segment": {"write_key": "k"},
    "snapchat": {"pixel_id": "p", "access_token": "t"},
    "snowflake": {"account": "a", "private_key": "k", "database": "d", "table": "t"},
    "the_trade_desk": {"advertiser_id": "a", "upixel_id": "u"},
    "tiktok": {"pixel_code": "C1", "access_token": "t"},
    "webhook": {"url": "https://example.com"},
    "x_ads": {
        "pixel_id": "o8z6j",
        "event_id": "tw-o8z6j-o87ne",
        "consumer_key": "a",
        "consumer_secret": "b",
        "access_token": "c",
        "access_token_secret": "d",
    },
}

SAMPLE = Vendor(
    key="sample",
    name="Sample",
    category="streams",
    description="Holds one field of each type.",
    documentation_url="https://example.com",
    fields=(
        Field("name", "Name", "string", required=True),
        Field("note", "Note", "string"),
        Field("token", "Token", "secret"),
        Field("retries", "Retries", "integer"),
        Field("ratio", "Ratio", "number"),
        Field("strict", "Strict", "boolean"),
        Field("mode", "Mode", "enum", choices=("fast", "safe")),
        Field("extras", "Extras", "object"),
        Field("headers", "Headers", "object", secret_values=True),
        Field("left", "Left", "string"),
        Field("right", "Right", "string"),
    ),
    variants=(Variant("noted", "Noted", "Needs a note.", {"note": "preset", "retries": 3}, ("note", "token")),),
    one_of=(("left", "right"),),
)
FITS: dict[str, Any] = {"name": "n", "left": "l"}
NOTED = SAMPLE.variants[0]

every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
