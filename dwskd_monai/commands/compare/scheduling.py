"""Several runs at a time: threads that wait for their processes, on this machine or on a Ray cluster."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import torch
from tqdm import tqdm

from dwskd_monai.commands.compare.process import allow_running, end_running
from dwskd_monai.commands.compare.running import RunError, execute
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.commands.compare.setting import Setting

_logger = logging.getLogger(__name__)

Job = tuple[Run, Path | None]  # a run, and the folder of the run that it needs


@dataclass(frozen=True)
class Place:
    """Where runs are carried out.

    Args:
        attempt: carries out a run, and returns what is wrong with it.
        end: ends all current runs, because the command was interrupted.
    """

    attempt: Callable[[Job, Setting], str | None]
    end: Callable[[], None]


def run_all(
    jobs: Sequence[Job], setting: Setting, at_a_time: int = 1, ray_address: str | None = None, title: str = "runs"
) -> dict[Run, str]:
    """Carry out several runs at a time, with a progress bar; a run that fails does not stop the others.

    Args:
        jobs: the runs, in this order.
        setting: of the grid.
        at_a_time: how many runs at a time.
        ray_address: address of a Ray cluster to run on, which needs the extra ``cluster``. All its machines must see
            the data and ``setting.out`` under the same paths.
        title: of the progress bar.

    Returns:
        The runs that failed, and why. If this function is interrupted, the processes that it has started end too.
    """
    failed: dict[Run, str] = {}
    somewhere = _this_machine(at_a_time) if ray_address is None else _cluster(at_a_time, ray_address)
    bar = tqdm(total=len(jobs), desc=title, unit="run", dynamic_ncols=True, disable=None if jobs else True)
    with somewhere as place, bar, ThreadPoolExecutor(at_a_time) as pool:
        futures = {pool.submit(place.attempt, job, setting): job for job in jobs}
        try:
            for count, future in enumerate(as_completed(futures), 1):
                run, _ = futures[future]
                reason = future.result()
                bar.update()
                if reason is not None:
                    failed[run] = reason
                    bar.write(f"failed: {run}: {reason}", file=sys.stderr)
                elif bar.disable:  # not on a terminal
                    _logger.info("%s: %d of %d: %s", title, count, len(jobs), run)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            place.end()
            raise
    return failed


def attempt_run(job: Job, setting: Setting, gpu: str | None = None) -> str | None:
    """Carry out a run; returns what is wrong with it, since an error would end the whole grid."""
    run, needed = job
    try:
        execute(run, setting, needed, gpu)
    except RunError as error:
        return str(error)
    return None


@contextmanager
def _this_machine(at_a_time: int) -> Iterator[Place]:
    """Runs on this machine; if there are several GPUs, each run gets a free one."""
    gpus = shared_gpus(at_a_time)

    def attempt(job: Job, setting: Setting) -> str | None:
        if gpus is None:
            return attempt_run(job, setting)
        gpu = gpus.get()
        try:
            return attempt_run(job, setting, gpu)
        finally:
            gpus.put(gpu)

    try:
        yield Place(attempt, end_running)
    finally:
        allow_running()


@contextmanager
def _cluster(at_a_time: int, address: str) -> Iterator[Place]:
    """Runs on the machines of a Ray cluster, which shares out their GPUs."""
    try:
        import ray
    except ImportError as error:
        raise ValueError("ray_address needs Ray: pip install 'dwskd_monai[cluster]'") from error
    ray.init(address=address, ignore_reinit_error=True)
    try:
        gpus = ray.cluster_resources().get("GPU", 0)
        remote = ray.remote(num_cpus=1, num_gpus=min(1, gpus / at_a_time))(attempt_run)
        under_way = set()

        def attempt(job: Job, setting: Setting) -> str | None:
            task = remote.remote(job, setting)
            under_way.add(task)
            try:
                reason: str | None = ray.get(task)
            except ray.exceptions.RayError as error:
                reason = f"Ray: {error}"
            finally:
                under_way.discard(task)
            return reason

        def end() -> None:
            for task in tuple(under_way):
                ray.cancel(task, force=True)

        yield Place(attempt, end)
    finally:
        ray.shutdown()


def shared_gpus(at_a_time: int) -> Queue[str] | None:
    """The GPUs of this machine as ``CUDA_VISIBLE_DEVICES`` names them, each as many times as runs share it.

    None if there is nothing to choose.
    """
    count = torch.cuda.device_count()
    if count < 2:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(count)]
    queue: Queue[str] = Queue()
    for index in range(max(at_a_time, count)):
        queue.put(names[index % count])
    return queue
