"""Messaging, CRM and other products that speak to customers."""

from integrations.vendors.vendor import Field, Variant, Vendor

BRAZE_CLUSTERS = {
    **{f"US-0{number}": f"https://rest.iad-0{number}.braze.com" for number in range(1, 9)},
    "US-10": "https://rest.us-10.braze.com",
    "EU-01": "https://rest.fra-01.braze.eu",
    "EU-02": "https://rest.fra-02.braze.eu",
    "AU-01": "https://rest.au-01.braze.com",
    "ID-01": "https://rest.id-01.braze.com",
    "JP-01": "https://rest.jp-01.braze.com",
    "KR-01": "https://rest.kr-01.braze.com",
}

ENGAGEMENT = (
    Vendor(
        key="braze",
        name="Braze",
        category="engagement",
        description="Sends user attributes, events and purchases to Braze (/users/track).",
        documentation_url="https://www.braze.com/docs/api/endpoints/user_data/post_user_track",
        fields=(
            Field(
                "api_key",
                "REST API key",
                "secret",
                required=True,
                placeholder="8f4e2d1c-9b7a-4c3e-8d5f-1a2b3c4d5e6f",
                help_text="Braze, Settings, APIs and identifiers: a key that may users.track.",
            ),
            Field(
                "rest_endpoint",
                "REST endpoint",
                "string",
                required=True,
                placeholder="https://rest.iad-01.braze.com",
                help_text="Settings, APIs and identifiers. It depends on your Braze cluster.",
            ),
            Field(
                "app_id",
                "App identifier",
                "string",
                placeholder="0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
                help_text="Settings, APIs and identifiers. Only to credit events to one of your apps.",
            ),
        ),
        variants=tuple(
            Variant(cluster.lower().replace("-", "_"), cluster, f"Braze cluster {cluster}.", {"rest_endpoint": url})
            for cluster, url in BRAZE_CLUSTERS.items()
        ),
    ),
    Vendor(
        key="customer_io",
        name="Customer.io",
        category="engagement",
        description="Sends people and events to Customer.io through its Track API.",
        documentation_url="https://docs.customer.io/integrations/api/track/",
        fields=(
            Field(
                "site_id",
                "Site ID",
                "string",
                required=True,
                placeholder="7b3a1c9d5e2f4a6b8c0d",
                help_text="Customer.io, Settings, API and webhook credentials, Tracking API keys.",
            ),
            Field(
                "api_key",
                "Tracking API key",
                "secret",
                required=True,
                placeholder="5d2f8e1a9c7b3d4e6f0a",
                help_text="Beside the site ID.",
            ),
            Field(
                "region",
                "Data region",
                "enum",
                default="us",
                choices=("us", "eu"),
                help_text="Settings, Privacy and data, Data center location.",
            ),
        ),
        variants=(
            Variant("us", "United States", "Data kept in the US.", {"region": "us"}),
            Variant("eu", "European Union", "Data kept in the EU.", {"region": "eu"}),
        ),
    ),
    Vendor(
        key="hubspot",
        name="HubSpot",
        category="engagement",
        description="Sends contacts and custom event completions to HubSpot.",
        documentation_url="https://developers.hubspot.com/docs/api-reference/events-send-event-completions-v3/guide",
        fields=(
            Field(
                "access_token",
                "Private app token",
                "secret",
                required=True,
                placeholder="pat-na1-1a2b3c4d-...",
                help_text="HubSpot, Settings, Integrations, Private apps: open the app, Auth.",
            ),
            Field(
                "event_name",
                "Event name",
                "string",
                placeholder="pe12345678_signed_up",
                help_text="Data management, Custom events: the internal name. Needed only for custom events.",
            ),
        ),
    ),
    Vendor(
        key="intercom",
        name="Intercom",
        category="engagement",
        description="Sends contacts and data events to Intercom.",
        documentation_url="https://developers.intercom.com/docs/references/rest-api/api.intercom.io/data-events",
        fields=(
            Field(
                "access_token",
                "Access token",
                "secret",
                required=True,
                placeholder="dG9rOjFhMmIz...",
                help_text="Intercom Developer hub, your app, Configure, Authentication.",
            ),
            Field(
                "region",
                "Data region",
                "enum",
                default="us",
                choices=("us", "eu", "au"),
                help_text="Settings, Security, Data: where your workspace is hosted.",
            ),
            Field(
                "intercom_version",
                "API version",
                "string",
                placeholder="2.11",
                help_text="For the Intercom-Version header. Leave it out for the version your app is set to.",
            ),
        ),
        variants=(
            Variant("us", "United States", "Workspace hosted in the US.", {"region": "us"}),
            Variant("eu", "European Union", "Workspace hosted in the EU.", {"region": "eu"}),
            Variant("au", "Australia", "Workspace hosted in Australia.", {"region": "au"}),
        ),
    ),
    Vendor(
        key="iterable",
        name="Iterable",
        category="engagement",
        description="Sends users, events and purchases to Iterable.",
        documentation_url="https://api.iterable.com/api/docs",
        fields=(
            Field(
                "api_key",
                "API key",
                "secret",
                required=True,
                placeholder="0123456789abcdef0123456789abcdef",
                help_text="Iterable, Integrations, API keys: a server-side key.",
            ),
            Field(
                "region",
                "Data center",
                "enum",
                default="us",
                choices=("us", "eu"),
                help_text="eu if you sign in at app.eu.iterable.com.",
            ),
        ),
        variants=(
            Variant("us", "United States", "api.iterable.com", {"region": "us"}),
            Variant("eu", "European Union", "api.eu.iterable.com", {"region": "eu"}),
        ),
    ),
    Vendor(
        key="klaviyo",
        name="Klaviyo",
        category="engagement",
        description="Sends profiles and events to Klaviyo.",
        documentation_url="https://developers.klaviyo.com/en/reference/create_event",
        fields=(
            Field(
                "api_key",
                "Private API key",
                "secret",
                required=True,
                placeholder="pk_1a2b3c4d...",
                help_text="Klaviyo, Settings, API keys: a private key that may write events and profiles.",
            ),
            Field(
                "revision",
                "API revision",
                "string",
                placeholder="2024-10-15",
                help_text="The date for the revision header. Leave it out for your processor's own.",
            ),
        ),
    ),
    Vendor(
        key="onesignal",
        name="OneSignal",
        category="engagement",
        description="Sends users and custom events to OneSignal.",
        documentation_url="https://documentation.onesignal.com/reference/create-custom-events",
        fields=(
            Field(
                "app_id",
                "App ID",
                "string",
                required=True,
                placeholder="8250eaf6-1a58-489e-b136-7c74a864b434",
                help_text="OneSignal, Settings, Keys and IDs.",
            ),
            Field(
                "api_key",
                "App API key",
                "secret",
                required=True,
                placeholder="os_v2_app_qjioj5q2...",
                help_text="Settings, Keys and IDs: Add key.",
            ),
        ),
    ),
)
