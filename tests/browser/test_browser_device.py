"""A browser is a device: its key never leaves it, and what it gets is of no use without the key."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests import leaks
from tests.browser.conftest import Example, serving_api
from tests.devices import DeviceKey
from tests.served import ask, free_port

if TYPE_CHECKING:
    from tests.browser.chromium import Page

pytestmark = pytest.mark.browser

KEYS: Final = """
    const opened = await new Promise((resolve, reject) => {
      const request = indexedDB.open("authserver-device");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const record = await new Promise((resolve, reject) => {
      const request = opened.transaction("device").objectStore("device").get("this browser");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const key = record.keys.privateKey;
"""
"""What an attacker's script does first: it has ``key`` then, the private key as the page has it."""

LISTEN: Final = """
    const send = window.fetch;
    window.sent = [];
    window.fetch = (url, options) => {
      window.sent.push({ url, ...options.headers });
      return send(url, options);
    };
"""
"""An attacker's script that keeps what the page sends."""

YEAR_LATE: Final = "const now = Date.now; Date.now = () => now() - 365 * 86400 * 1000;"


def enrol(page: "Page", link: str) -> str:
    """Follow a link with a code, and enrol; the ``client_id`` of the browser."""
    page.open(link)
    assert page.press("enrol")[:2] == ("done", "This browser is enrolled.")
    return page.state.removeprefix("Enrolled as ")


def stolen(page: "Page", url: str) -> dict[str, str]:
    """The headers of the last request to ``url`` that a script in the page has listened to."""
    requests: list[dict[str, str]] = page.run("return window.sent;")
    request = [each for each in requests if each["url"] == url][-1]
    leaks.handled(request["DPoP"])
    leaks.handled(request["Authorization"].partition(" ")[2])
    return request


def test_it_enrols_calls_reloads_and_calls(example: Example, page: "Page") -> None:
    link = example.invite()
    page.open(link)
    assert (page.address, page.code) == (f"{example.api}/", link.partition("#")[2])
    client_id = enrol(page, link)
    assert client_id.startswith("dev_")
    images = {"owner": "browsers:owner/alice", "device": client_id, "images": ["harbour", "sunrise"]}
    assert page.press("call") == ("done", "The API answered.", images)
    page.reload()
    assert page.state == f"Enrolled as {client_id}"
    assert page.press("call") == ("done", "The API answered.", images)
    tokens = [event["jti"] for event in example.server.events() if "jti" in event]
    assert len(set(tokens)) == 2


def test_it_is_the_same_device_after_the_browser_was_closed(example: Example, profile: Path) -> None:
    from tests.browser.chromium import chromium

    with chromium(profile) as page:
        client_id = enrol(page, example.invite())
    with chromium(profile) as page:
        page.open(example.api)
        assert page.state == f"Enrolled as {client_id}"
        assert page.press("call").kind == "done"


def test_it_needs_no_clock_that_is_right(example: Example, page: "Page") -> None:
    page.run_before_load(YEAR_LATE)
    enrol(page, example.invite())
    assert page.press("call").kind == "done"


def test_its_private_key_cannot_be_exported(example: Example, page: "Page") -> None:
    enrol(page, example.invite())
    refused = {"jwk": "refused: InvalidAccessError", "pkcs8": "refused: InvalidAccessError"}
    assert page.press("export").output == refused
    assert page.run(f"{KEYS} return [key.type, key.extractable, key.usages];") == ["private", False, ["sign"]]
    for form in ("jwk", "pkcs8", "raw", "spki"):
        assert page.run(f"{KEYS} return crypto.subtle.exportKey('{form}', key);") == "threw InvalidAccessError"
    wrapping = "await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['wrapKey'])"
    wrapped = f"crypto.subtle.wrapKey('pkcs8', key, {wrapping}, {{ name: 'AES-GCM', iv: new Uint8Array(12) }})"
    assert page.run(f"{KEYS} return {wrapped};") == "threw InvalidAccessError"
    assert page.run(f"{KEYS} return JSON.stringify(key);") == "{}"


def test_a_token_that_was_copied_out_of_it_is_useless(example: Example, page: "Page") -> None:
    """R65, R68"""
    enrol(page, example.invite())
    page.run(LISTEN)
    assert page.press("call").kind == "done"
    images = f"{example.api}/images"
    request = stolen(page, images)
    token = request["Authorization"].removeprefix("DPoP ")
    of_the_thief = DeviceKey().proof("GET", images, access_token=token)
    attempts = [
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": request["DPoP"]},
        {"Authorization": f"DPoP {token}", "DPoP": of_the_thief},
    ]
    assert [ask("GET", images, headers=attempt).status for attempt in attempts] == [401] * 4
    assert page.press("call").kind == "done"


def test_a_page_of_another_origin_is_refused_by_the_browser(example: Example, page: "Page") -> None:
    attempt = (
        f"return (await fetch('{example.server.url}/token', {{ method: 'POST', headers: {{ DPoP: 'x' }} }})).status;"
    )
    page.open(example.api)
    assert page.run(attempt) == 400
    other = f"http://127.0.0.1:{free_port()}"
    with serving_api(example.folder, example.server.url, other):
        kind, message, _ = page.open(other)
        said = f"{example.server.url} cannot be reached, or does not let pages of {other} use it."
        assert (kind, message) == ("error", said)
        assert page.run(attempt) == "threw TypeError"


def test_it_gets_nothing_more_once_it_is_revoked_and_can_enrol_anew(example: Example, page: "Page") -> None:
    client_id = enrol(page, example.invite())
    assert page.press("call").kind == "done"
    example.follow("5.", client_id=client_id)
    page.reload()
    kind, message, output = page.press("call")
    assert (kind, output) == ("error", None)
    assert "This browser may have been revoked: remove it, and enrol it anew. (invalid_client, request " in message
    assert page.press("remove").kind == "done"
    assert page.state == "Not enrolled"
    assert enrol(page, example.invite()) != client_id
    assert page.press("call").kind == "done"


def test_it_can_remove_itself(example: Example, page: "Page") -> None:
    client_id = enrol(page, example.invite())
    assert page.press("remove")[:2] == ("done", "This browser is no device any more.")
    page.reload()
    assert page.state == "Not enrolled"
    assert page.run(f"{KEYS} return key;") == "threw TypeError"
    assert "revoked" in example.run(f"authserver devices show --config authserver.toml {client_id}")


def test_no_foreign_script_gets_into_the_page_and_nothing_out_of_it(example: Example, page: "Page") -> None:
    page.open(example.api)
    elsewhere = f"{example.server.url.replace('127.0.0.1', 'localhost')}/livez"
    for attempt in (
        f"await fetch('{elsewhere}', {{ mode: 'no-cors' }})",
        f"document.createElement('script').src = '{elsewhere}'",
        "document.body.innerHTML = '<b>text</b>'",
    ):
        assert page.run(f"{attempt}; return 'done';") == "threw TypeError"


def test_a_code_that_is_wrong_is_explained_and_the_right_one_still_works(example: Example, page: "Page") -> None:
    page.open(example.api)
    page.type("code", "asenroll_of-nobody")
    kind, message, _ = page.press("enrol")
    assert kind == "error"
    assert "(invalid_token, request " in message
    assert enrol(page, example.invite()).startswith("dev_")
