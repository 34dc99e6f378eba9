"""Ray: reaching a cluster of machines, or starting one here, and what its workers may take."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from glnet.errors import RunError
from glnet.extras import install

#: Of a worker, where nothing is said: more gain little.
_THREADS = 4

#: That a cluster may take to answer.
_SECONDS = 20


class Cluster(NamedTuple):
    """Workers that are not this process.

    Attributes:
        address: Of a Ray cluster; `local`: one that is started here, and ended.
        workers: How many; None: one per GPU, or as many as the processors have room for.
        threads: Of each; None: 4, or as many processors as a machine has.
    """

    address: str
    workers: int | None = None
    threads: int | None = None


class Workers(NamedTuple):
    """How many workers there are room for.

    Attributes:
        number: Of them.
        options: Of each as an actor or a task of Ray, started again when it is lost.
    """

    number: int
    options: dict[str, Any]


@contextlib.contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """Ray, connected.

    Raises:
        RunError: it is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    try:
        import ray  # noqa: PLC0415  an extra
    except ImportError as error:
        msg = f"--ray: this needs: {install('ray')} ({error})"
        raise RunError(msg) from error
    _check_answers(cluster.address)
    here = {"include_dashboard": False} if cluster.address == "local" else {}
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        detail = " ".join(str(error).split())[:200]
        told = "AuthenticationError" in repr(error.__cause__) + str(error.__cause__)
        what = "it asks for a token, set RAY_AUTH_MODE=token" if told else "is it running?"
        msg = f"--ray {cluster.address}: cannot be reached ({detail}); {what}"
        raise RunError(msg) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Does anybody listen there? Ray would ask for a minute."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS).close()
    except OSError as error:
        msg = f"--ray {address}: cannot be reached ({error}); is it running?"
        raise RunError(msg) from error


def workers_of(ray: Any, cluster: Cluster, *, gpus: bool) -> Workers:  # noqa: ANN401  an extra
    """What a connected cluster has room for; threads are always said, Ray would choose.

    Args:
        ray: Connected.
        cluster: What is asked for.
        gpus: Does a worker use a GPU where there is one?

    Raises:
        RunError: more workers than there is room for.
    """
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    threads = cluster.threads or max(1, min(_THREADS, max(machines, default=1)))
    devices = int(ray.cluster_resources().get("GPU", 0)) if gpus else 0
    room = devices or sum(count // threads for count in machines)
    count = cluster.workers or room
    if not 1 <= count <= room:
        kind = "GPUs" if devices else f"times {threads} processors"
        msg = (
            f"the cluster has {room} {kind}, which is no room for {max(1, count)} workers; "
            "say fewer --workers or --threads"
        )
        raise RunError(msg)
    options = {
        "num_cpus": threads, "num_gpus": 1 if devices else 0,
        "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads)}},
    }  # fmt: skip
    return Workers(count, options)


def got(ray: Any, reference: Any) -> Any:  # noqa: ANN401  an extra
    """What a task gave.

    Raises:
        RunError: it failed, in one line.
    """
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        last = (str(error).strip().splitlines() or ["no reason given"])[-1]
        msg = f"a worker failed: {last}"
        raise RunError(msg) from error
