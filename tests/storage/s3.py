"""A real S3 server on this machine, which answers some requests with 503 before it does what is asked."""

import itertools
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
import pytest


class Busy:
    """A web application that refuses one request in `every`, as S3 does under load."""

    def __init__(self, application: Any, every: int) -> None:
        self._application = application
        self._every = every
        self._number = itertools.count(1)
        self.refused = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if next(self._number) % self._every:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        self.refused += 1
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]


@contextmanager
def s3_server(every: int) -> Iterator[Busy]:
    """Serve a bucket, `winnow`, and name the server in the environment; every `every`th request is refused."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - slow to import
    from werkzeug.serving import make_server  # noqa: PLC0415 - comes with it

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    busy = Busy(DomainDispatcherApplication(create_backend_app), every)
    server = make_server("127.0.0.1", 0, busy, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").clear_instance_cache()
        fsspec.filesystem("s3").makedirs("winnow", exist_ok=True)
        try:
            yield busy
        finally:
            fsspec.filesystem("s3").clear_instance_cache()
            server.shutdown()
