"""A server of S3's protocol on this machine, which can refuse requests."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec

_NUMBERS = itertools.count()


@dataclass
class ObjectStore:
    """What the server does.

    Attributes:
        endpoint: where it answers.
        url: a bucket.
        refused: a pattern of the methods and paths that are refused, such as ``PUT .*/config.json``, or None.
        requests: the method and the path of each request.
    """

    endpoint: str
    url: str = ""
    refused: str | None = None
    requests: list[str] = field(default_factory=list)

    @property
    def files(self) -> Any:
        """The file system of fsspec."""
        return fsspec.filesystem("s3", use_listings_cache=False)

    def names(self, url: str = "") -> list[str]:
        """The names of all objects below ``url``, by default in the bucket."""
        root = (url or self.url).removeprefix("s3://")
        return sorted(name.removeprefix(f"{root}/") for name in self.files.find(root))

    def put(self, folder: Path, url: str) -> None:
        """Copies a folder."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.files.put_file(str(file), f"{url}/{file.relative_to(folder).as_posix()}")

    def gets(self) -> list[str]:
        """The paths of the objects whose content was requested."""
        paths = [request.removeprefix("GET ") for request in self.requests if request.startswith("GET ")]
        return [path for path in paths if path.count("/") > 1]


@contextlib.contextmanager
def serving() -> Iterator[ObjectStore]:
    """Serves S3's protocol. ``use`` tells the libraries where."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    answer = server._server.app
    host, port = server.get_host_and_port()
    state = ObjectStore(f"http://{host}:{port}")

    def app(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']}"
        state.requests.append(request)
        if state.refused is not None and re.fullmatch(state.refused, request):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        return answer(environment, start)

    server._server.app = app
    try:
        yield state
    finally:
        server.stop()


@contextlib.contextmanager
def use(store: ObjectStore, bucket: str | None = None) -> Iterator[None]:
    """A context with an empty bucket, and with the endpoint and credentials in the environment.

    Args:
        store: the server.
        bucket: the name of the bucket. The default is new.
    """
    variables = {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with mock.patch.dict(os.environ, variables):
        type(store.files).clear_instance_cache()  # its instances keep the endpoint of a server that may have stopped
        store.url = f"s3://{bucket or f'bucket{next(_NUMBERS)}'}"
        store.refused = None
        store.files.mkdir(store.url)
        store.requests.clear()
        yield
