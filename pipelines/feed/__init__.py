"""The runtime feed: what event processors load, answered from memory and kept current by the database."""
