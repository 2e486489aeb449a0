"""Pages of the console as the test client gets them: what a reader sees, and what their form sends back."""

import re
from typing import Any

LIST = "/admin/integrations/template/"
META = {"field_pixel_id": "1234567890", "delivery_mode": "server_side"}


def text_of(answer: Any) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(script|style|option)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def hidden(answer: Any) -> dict[str, str]:
    """The hidden inputs of the page's form."""
    inputs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.content.decode())
    return {name: value for name, value in inputs if name != "csrfmiddlewaretoken"}
