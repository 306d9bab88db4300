"""Every metric there is: its name, its labels and what it says. The reference, the alerts and the dashboard follow it.

The values of every label come from a closed set: the configuration's own names, the enumerations of this package, and
the route table. Nothing that a request says ever becomes one.
"""

from typing import Final, Literal, NamedTuple

NONE: Final = "none"
"""The value of a label where there is nothing to name."""

OTHER: Final = "other"
"""The value of a label where there is something that is not in its closed set."""

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """A metric: its name as it is served, its type, its labels, and its help text."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


DECISIONS: Final = Metric(
    "authserver_decisions_total",
    "counter",
    ("source", "resource", "grant", "outcome", "reason"),
    "Decisions, one for each audit event.",
)
ENROLLMENTS: Final = Metric(
    "authserver_enrollments_total",
    "counter",
    ("source", "outcome", "reason"),
    "Devices that wanted to be enrolled, one for each audit event.",
)
TOKEN_SECONDS: Final = Metric(
    "authserver_token_seconds", "histogram", ("outcome",), "Seconds from a token request's body to its answer."
)
HTTP_REQUESTS: Final = Metric(
    "authserver_http_requests_total", "counter", ("route", "method", "status"), "HTTP requests that were answered."
)
KEY_FETCHES: Final = Metric(
    "authserver_key_fetches_total", "counter", ("source", "outcome"), "Fetches of the key set of a source."
)
BACKGROUND_FAILURES: Final = Metric(
    "authserver_background_failures_total", "counter", ("task", "reason"), "Background work that failed."
)
KEYS: Final = Metric("authserver_keys", "gauge", ("algorithm", "state"), "Keys of the ring.")
NEXT_CHANGE: Final = Metric(
    "authserver_key_next_change_seconds",
    "gauge",
    ("algorithm",),
    "Seconds until the next planned change of a key; negative when it was due and is not done.",
)
ROTATION_OVERDUE: Final = Metric(
    "authserver_key_rotation_overdue", "gauge", ("algorithm",), "1 while a change of a key is long overdue, else 0."
)
STORE_UP: Final = Metric("authserver_store_up", "gauge", (), "1 while the store can be written to, else 0.")
RELOAD_TAKEN: Final = Metric(
    "authserver_last_reload_taken",
    "gauge",
    (),
    "1 while the server has the configuration that it was last told to take, else 0.",
)
INFO: Final = Metric("authserver_info", "gauge", ("version", "environment"), "Always 1; its labels say what runs.")

CATALOGUE: Final = (
    DECISIONS,
    ENROLLMENTS,
    TOKEN_SECONDS,
    HTTP_REQUESTS,
    KEY_FETCHES,
    BACKGROUND_FAILURES,
    KEYS,
    NEXT_CHANGE,
    ROTATION_OVERDUE,
    STORE_UP,
    RELOAD_TAKEN,
    INFO,
)
