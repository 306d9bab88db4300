"""A SPIFFE Workload API: gRPC on a socket, as an agent serves it."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from spiffe._proto import workload_pb2

from tests.mesh import THUMBNAILER

HEADER: Final = ("workload.spiffe.io", "true")

Make = Callable[[str], list[str]]
"""The JWT-SVIDs of a workload for an audience."""


class WorkloadApi:
    """An agent, and what it was asked. It serves nobody who leaves the header out (Workload Endpoint section 3).

    ``status`` is what it answers instead, and ``gate`` holds every answer up while it is closed.
    """

    def __init__(self, path: Path, make: Make) -> None:
        self.address = f"unix://{path}"
        self.asked: list[list[str]] = []
        self.status: grpc.StatusCode | None = None
        self.gate = threading.Event()
        self.gate.set()
        self._make = make

    def serve(self, request: Any, context: grpc.ServicerContext) -> Any:
        """``FetchJWTSVID``."""
        if HEADER not in context.invocation_metadata():
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
        self.gate.wait(20)
        self.asked.append(list(request.audience))
        if self.status is not None:
            context.abort(self.status, "no identity issued, says somebody with \x1b[31m colours")
        made = self._make(request.audience[0])
        return workload_pb2.JWTSVIDResponse(
            svids=[workload_pb2.JWTSVID(spiffe_id=THUMBNAILER, svid=each) for each in made]
        )


@contextmanager
def serving(make: Make) -> Iterator[WorkloadApi]:
    """An agent on a socket of its own; the path of a socket must be short."""
    folder = Path(tempfile.mkdtemp(prefix="agent", dir=os.environ.get("TMPDIR", "/tmp")))
    api = WorkloadApi(folder / "agent.sock", make)
    method = grpc.unary_unary_rpc_method_handler(
        api.serve,
        request_deserializer=workload_pb2.JWTSVIDRequest.FromString,
        response_serializer=workload_pb2.JWTSVIDResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", {"FetchJWTSVID": method}),)
    )
    server.add_insecure_port(api.address)
    server.start()
    try:
        yield api
    finally:
        api.gate.set()
        server.stop(None).wait()
        shutil.rmtree(folder, ignore_errors=True)
