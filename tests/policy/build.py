"""Rules, subjects and resources that are ordinary but for what a test is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from authserver.model import NOTHING, Resource, Subject
from authserver.policy.authorize import Policy
from authserver.policy.rules import Rule, RuleTable

IDENTIFIER = "https://images.example.com"
IMAGES = Resource("images", IDENTIFIER, frozenset({"images:read", "images:write", "images:delete"}), (), "ES256")


def rule(match: Mapping[str, Any] | None = None, **changes: Any) -> Rule:
    """A rule as a configuration would write it."""
    table = {
        "name": "a-rule",
        "source": "cluster",
        "match": {"namespace": "media"} if match is None else match,
        "resource": IDENTIFIER,
        "scope": ["images:read"],
        **changes,
    }
    return RuleTable.model_validate(table).compile()


def subject(*, source: str = "cluster", named_only: Mapping[str, str] = NOTHING, **attributes: Any) -> Subject:
    """A verified caller with these attributes, each a string or a list of strings."""
    values = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in attributes.items()}
    return Subject(source, "somebody", values, credential_id="", named_only=named_only)


def policy(*rules: Rule, resources: Sequence[Resource] = (IMAGES,), lifetime: int = 3600) -> Policy:
    """A policy over these rules."""
    return Policy(rules, {resource.identifier: resource for resource in resources}, lifetime)
