"""What a server answered: bounded in size and time, and safe to show. And the one error of the tools, in words for a person."""

import base64
import binascii
import json
import queue
import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3.util import Retry

from text import short

# Seconds for the whole of an answer, however slowly it comes.
WHOLE = 60
ANSWER_BYTES_MAX = 8 * 1024 * 1024
# An error that is longer is no message for a person. Magento's own, with a trace of the developer mode, have some 100 KB.
ERROR_BYTES_MAX = 1024 * 1024
# Of a message, before its parameters are filled in. Magento's have a sentence or two.
MESSAGE_MAX = 2000
NO_ANSWER = "no answer in time"
# In the place of JSON.
NOTHING = object()


class ShopError(Exception):
    """What went wrong, what it means and what to do. `unknown` says that the shop may have done all the same what it was asked."""

    def __init__(self, what, why="", remedy="", *, status=None, unknown=False):
        super().__init__(" ".join(part for part in (what, why, remedy) if part))
        self.what, self.why, self.remedy = what, why, remedy
        self.status, self.unknown = status, unknown

    @property
    def final(self):
        """Whether the shop refused, so that the same request would be refused again."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 429


class Patience(Retry):
    """How often, and with which pauses, a request is repeated. A Retry-After that cannot be read counts as none."""

    def parse_retry_after(self, retry_after):
        try:
            return super().parse_retry_after(retry_after[:100])
        except (urllib3.exceptions.HTTPError, ValueError, OverflowError, TypeError):
            return 0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    content: bytes

    @property
    def media_type(self):
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def good(self):
        return 200 <= self.status < 300

    @cached_property
    def json(self):
        """What it says, or NOTHING. An error that is longer than any message is not read."""
        if not self.good and len(self.content) > ERROR_BYTES_MAX:
            return NOTHING
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return NOTHING

    @property
    def is_commerce(self):
        """Whether it can be Commerce's own: it answers in JSON, and asks for no password of a web server."""
        return not self.asks_for_password and (self.json is not NOTHING if self.good else isinstance(self.json, (dict, list)))

    @property
    def asks_for_password(self):
        """The scheme of a web server's password, or None."""
        found = re.match(r"\s*(basic|digest|ntlm|negotiate)\b", self.headers.get("WWW-Authenticate", ""), re.IGNORECASE)
        return found and found.group(1).capitalize()

    def form(self):
        """Status and media type, as a person can look for them."""
        return f"status {self.status}, {short(self.media_type, 60) or 'no media type'}"


def limited(answer, host):
    """The content, if it comes in time and is not too much."""
    content, until = bytearray(), time.monotonic() + WHOLE
    while piece := next_piece(answer):
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            raise ShopError(f"{host} answered with more than {ANSWER_BYTES_MAX // 1024 // 1024} MB", unknown=True)
        if time.monotonic() > until:
            raise ShopError(f"{host} did not end its answer within {WHOLE} s", unknown=True)
    return bytes(content)


def in_time(ask, host, *given, **how):
    """What a request brings, head and content. The timeouts of requests are between two pieces, and a head may come byte by byte."""
    came = queue.Queue()

    def run():
        try:
            came.put((ask(host, *given, **how), None))
        except BaseException as error:  # noqa: BLE001 — it is raised where it is waited for
            came.put((None, error))

    # What never ends must not keep the program from its end.
    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = came.get(timeout=WHOLE)
    except queue.Empty:
        raise ShopError(f"{host} did not end its answer within {WHOLE} s", unknown=True) from None
    if error is not None:
        raise error
    return result


def next_piece(answer):
    """What has come, be it little: to wait for more would give whoever sends it slowly all the time in the world."""
    try:
        return answer.raw.read1(64 * 1024, decode_content=True)
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ConnectionError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error


def redirected(answer, host):
    """Refuses to go on to another address."""
    if 300 <= answer.status_code < 400:
        try:
            target = urlsplit(answer.headers.get("Location", "")).hostname
        except ValueError:
            target = "an address that is none"
        raise ShopError(
            f"{host} sends us on to {short(target or host, 100)} (status {answer.status_code}), where no credentials go.",
            remedy="Give SHOP as it is in the end.",
            unknown=True,
        )


def message_of(answer, clean=str):
    """The message in an error of Magento, with its parameters filled in, as one short line. `clean` takes secrets out."""
    said = answer.json if isinstance(answer.json, dict) else {}
    message = said.get("message")
    if not isinstance(message, str):
        return ""
    given = said.get("parameters")
    named = given if isinstance(given, dict) else {}
    numbered = given if isinstance(given, list) else []

    @lru_cache(None)  # a message may name one a thousand times
    def value(name):
        if name in named:
            return clean(worded(named[name]))[:MESSAGE_MAX]
        if name.isdecimal() and len(name) < 9 and 0 < int(name) <= len(numbered):
            return clean(worded(numbered[int(name) - 1]))[:MESSAGE_MAX]
        return None

    def filled(place):
        found = value(place.group(1))
        return place.group() if found is None else found

    return short(clean(re.sub(r"%([0-9]+|\w+)", filled, clean(message)[:MESSAGE_MAX])))


def worded(value):
    """A parameter of a message, of which nothing deep is shown."""
    if isinstance(value, list):
        return ", ".join(worded(one) for one in value[:10] if not isinstance(one, list)) + (" …" if len(value) > 10 else "")
    return "…" if isinstance(value, dict) else str(value)


def expired(token):
    """When a token that says so of itself ended, or None: Magento's admin tokens since 2.4.4 and those of Adobe IMS are JWTs."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > 16 * 1024:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        if "exp" in claims:
            end = float(claims["exp"])
        else:
            end = (float(claims["created_at"]) + float(claims["expires_in"])) / 1000
        end = datetime.fromtimestamp(end, timezone.utc)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError, binascii.Error):
        return None
    return end if end < datetime.now(timezone.utc) else None


def root_of(error):
    """What urllib3 gave up over."""
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return urllib3.exceptions.ConnectTimeoutError("no connection in time")
    return getattr(inner, "original_error", inner)


def innermost(error):
    """The last words of a chain of exceptions, without the objects that requests prints."""
    root = root_of(error)
    if isinstance(error, requests.exceptions.Timeout) or isinstance(root, urllib3.exceptions.ReadTimeoutError):
        return NO_ANSWER
    words = str(root)
    if re.search("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", words):
        return "what answers there is not TLS; does it speak HTTPS at this port?"
    words = re.sub(r"<[^>]*>:? ?|^.*?Connection\(host=[^)]*\):? ?", "", words[:4000])
    return short(words, 200) or type(error).__name__
