"""Which values of a config are secrets, and which are cast."""

import pytest

from integrations.vendors import VENDORS, secret_pointers, typed_pointers
from tests.integrations.vendor_samples import FITS, SAMPLE, SMALLEST


def test_secrets_are_found_where_they_are_present() -> None:
    assert secret_pointers(SAMPLE, FITS) == frozenset()
    assert secret_pointers(SAMPLE, {**FITS, "token": "t"}) == {"/token"}
    assert secret_pointers(VENDORS["meta_capi"], SMALLEST["meta_capi"]) == {"/access_token"}


@pytest.mark.parametrize("value", [5, None, ["t"], {"a": "t"}])
def test_a_secret_of_the_wrong_type_is_still_a_secret(value: object) -> None:
    assert secret_pointers(SAMPLE, {"token": value}) == {"/token"}


def test_every_header_is_a_secret() -> None:
    headers = {"Authorization": "Bearer x", "a/b~c": "1", "deep": {"x": "y"}}
    assert secret_pointers(VENDORS["webhook"], {"url": "https://example.com", "headers": headers}) == {
        "/headers/Authorization",
        "/headers/a~1b~0c",
        "/headers/deep",
    }


def test_headers_that_are_no_object_are_a_secret_as_a_whole() -> None:
    assert secret_pointers(SAMPLE, {"headers": "Authorization: x"}) == {"/headers"}
    assert secret_pointers(SAMPLE, {"headers": ["Authorization: x"]}) == {"/headers"}
    assert secret_pointers(SAMPLE, {"headers": {}}) == frozenset()


def test_a_misspelt_secret_is_still_a_secret() -> None:
    config = {"pixelId": "1", "acces_token": "t", "accessToken": "t", "unrelated": "u"}
    assert secret_pointers(VENDORS["meta_capi"], config) == {"/acces_token", "/accessToken"}
    assert secret_pointers(SAMPLE, {"header": {"Authorization": "x"}}) == {"/header/Authorization"}


def test_numbers_and_booleans_are_cast_and_nothing_else() -> None:
    assert typed_pointers(SAMPLE) == {"/retries": "integer", "/ratio": "number", "/strict": "boolean"}
    assert typed_pointers(VENDORS["webhook"]) == {"/timeout_seconds": "number"}
    assert typed_pointers(VENDORS["hubspot"]) == {}


@pytest.mark.parametrize("key", ["token", "apiKey", "client_secret", "Password", "x-write-key", "aws_credentials"])
def test_an_unknown_name_that_sounds_like_a_secret_is_one(key: str) -> None:
    assert secret_pointers(VENDORS["plausible"], {key: "t", "domain": "d"}) == {f"/{key}"}
    assert secret_pointers(VENDORS["plausible"], {key: {"a": 1}}) == {f"/{key}"}


@pytest.mark.parametrize("key", ["tokenizer", "secretary", "passwordless", "note", "keys"])
def test_an_unknown_name_that_does_not_end_like_a_secret_is_none(key: str) -> None:
    assert secret_pointers(VENDORS["plausible"], {key: "t"}) == frozenset()
