"""``python -m dwskd_monai compare`` on a Ray cluster of this machine, whose workers ask for forks too.

The cluster is a head and another node, one processor each, and ends with this process.
"""

from __future__ import annotations

import os
import sys

from ray.cluster_utils import Cluster

from dwskd_monai.cli import main
from dwskd_monai.commands.compare import scheduling
from tests.forks import let_ask_for_forks

attempt_run = scheduling.attempt_run  # before it is replaced, which is done in this process only


def attempt_run_in_forks(job: scheduling.Job, setting: scheduling.Setting) -> str | None:
    let_ask_for_forks()
    return attempt_run(job, setting)


os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
scheduling.attempt_run = attempt_run_in_forks
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
try:
    main([*sys.argv[1:], "--ray_address", cluster.address])
finally:
    cluster.shutdown()
