"""The fixtures of the endpoints, for tests that look at the whole application from outside."""

from tests.endpoints.conftest import application, clock, cluster, identity, make_application

__all__ = ["application", "clock", "cluster", "identity", "make_application"]
