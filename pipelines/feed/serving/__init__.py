"""The feed as a server answers it: from memory, in one event loop, before Django is reached."""
