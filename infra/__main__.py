"""A stack of Tidegate on AWS. Read from top to bottom, this is the architecture."""

from __future__ import annotations

import pulumi

from infra.components.api import Api
from infra.components.autoscaler import Autoscaler
from infra.components.balancer import Balancer
from infra.components.base import Place
from infra.components.cache import Cache
from infra.components.certificates import Certificates
from infra.components.cluster import Cluster
from infra.components.discovery import Discovery
from infra.components.files import SharedFiles
from infra.components.images import Images
from infra.components.network import Network
from infra.components.observability import Observability
from infra.components.results import Results
from infra.components.scheduler import Scheduler
from infra.components.worker import Worker
from infra.environment import Wiring
from infra.place import find_place


def main(place: Place) -> None:
    """Declare the stack."""
    settings = place.settings

    # Where everything runs, and what keeps data.
    network = Network(place)
    discovery = Discovery(place, network)
    cache = Cache(place, network)
    results = Results(place)
    files = SharedFiles(place, network) if settings.shared_files else None
    certificates = Certificates(place) if settings.dask_tls else None
    cluster = Cluster(place)
    images = Images(place)

    # What all services are told.
    wiring = Wiring(
        place,
        redis_url=cache.url,
        redis_token=cache.token_arn,
        scheduler_host=discovery.scheduler_host,
        object_store=results.url,
        certificates=certificates.secrets if certificates else {},
        ready=(*cache.ready, *(certificates.ready if certificates else ())),
    )

    # The Dask cluster: a scheduler, waited for, whose address the autoscaler gets; workers are the autoscaler's.
    scheduler = Scheduler(wiring, images.worker, cluster, network, discovery)
    worker = Worker(wiring, images.worker, results, files)
    autoscaler = Autoscaler(wiring, images.autoscaler, cluster, network, scheduler, worker)

    # The gate.
    balancer = Balancer(place, network)
    api = Api(wiring, images.api, cluster, network, balancer, results)

    # What operators see.
    watch = Observability(place, cluster, cache, balancer, scheduler, api)

    pulumi.export("api_url", balancer.url)
    pulumi.export("scheduler_address", scheduler.address)
    pulumi.export("cluster", cluster.name)
    tasks = {"api": api.task, "autoscaler": autoscaler.task, "scheduler": scheduler.task, "worker": worker.task}
    pulumi.export("log_groups", {name: task.log_group for name, task in tasks.items()})
    pulumi.export("dashboard_url", watch.dashboard_url)
    pulumi.export("images", {"api": images.api, "autoscaler": images.autoscaler, "worker": images.worker})
    pulumi.export("results_bucket", results.bucket)
    pulumi.export("admin_key_secret", api.admin_key_arn)


if __name__ == "__main__":
    main(find_place())
