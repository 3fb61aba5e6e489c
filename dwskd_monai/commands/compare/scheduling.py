"""Cells on the processors, GPUs or machines that there are, by joblib or Ray."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import Manager
from pathlib import Path
from queue import Queue
from typing import Any

import torch
from filelock import FileLock, Timeout
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool
from tqdm import tqdm

from dwskd_monai.commands.compare.cells import Cell, Setting
from dwskd_monai.commands.compare.running import CellError, run_cell

Job = tuple[Cell, Path | None]  # and the folder of the run that it needs
_Result = tuple[Cell, str | None]  # and what is wrong
_RUNNING = "running"
_logger = logging.getLogger(__name__)


def run_cells(
    jobs: Sequence[Job], setting: Setting, processes: int = 1, ray_address: str | None = None, title: str = "runs"
) -> dict[Cell, str]:
    """Run cells side by side, with a progress bar; a cell that fails does not stop the others.

    Args:
        jobs: what to run, in this order.
        setting: of the grid.
        processes: how many run at a time.
        ray_address: address of a Ray cluster that the cells run on; it needs the extra ``cluster``, and all its
            machines need to see the data and ``setting.out`` under the same paths.
        title: of the progress bar.

    Returns:
        The cells that failed, and why.
    """
    failed: dict[Cell, str] = {}
    waiting = list(jobs)
    attempts = partial(_on_cluster, address=ray_address) if ray_address is not None else _on_this_machine
    with tqdm(total=len(jobs), desc=title, unit="run", dynamic_ncols=True, disable=not jobs) as bar:
        while waiting:
            left = len(waiting)
            for cell, error in _until_killed(attempts(waiting, setting, processes)):
                waiting = [job for job in waiting if job[0] != cell]
                bar.update()
                if error is not None:
                    failed[cell] = error
                    bar.write(f"failed: {cell}: {error}", file=sys.stderr)
            # What is still waiting shared a process that was killed. Which cell it had is not told: those that had
            # begun are given up, the others go on; where none had begun, none can.
            begun = [cell for cell, _ in waiting if (setting.out / cell.folder / _RUNNING).exists()]
            for cell in begun if begun or len(waiting) < left else [cell for cell, _ in waiting]:
                (setting.out / cell.folder / _RUNNING).unlink(missing_ok=True)
                waiting = [job for job in waiting if job[0] != cell]
                bar.update()
                failed[cell] = "its process, or one beside it, was killed, perhaps for want of memory"
                bar.write(f"failed: {cell}: {failed[cell]}", file=sys.stderr)
    return failed


def _attempt(job: Job, setting: Setting, devices: Queue[str] | None) -> _Result:
    """Run a cell on a device that is free; what is wrong is returned, since an error would end the whole grid."""
    cell, needed = job
    folder = setting.out / cell.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(cell, folder):
        device = None if devices is None else devices.get()
        try:
            (folder / _RUNNING).touch()
            run_cell(cell, setting, needed, device)
        except CellError as error:
            return cell, str(error)
        finally:
            (folder / _RUNNING).unlink(missing_ok=True)
            if devices is not None and device is not None:
                devices.put(device)
    return cell, None


@contextmanager
def _alone(cell: Cell, folder: Path) -> Iterator[None]:
    """Waits for another command that runs the cell: two at a time would continue each other's training."""
    lock = FileLock(folder / ".lock")
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        _logger.warning("%s: another command runs it; waiting for that", cell)
        held = lock.acquire()
    with held:
        yield


def _until_killed(results: Iterator[_Result]) -> Iterator[_Result]:
    """Results as they come; where a process was killed, those so far."""
    try:
        yield from results
    except BrokenProcessPool:
        _logger.warning("a process was killed")
    except Exception as error:
        if not type(error).__module__.startswith("ray."):
            raise
        _logger.warning("Ray: %s", error)


def _on_this_machine(jobs: Sequence[Job], setting: Setting, processes: int) -> Iterator[_Result]:
    with _shared_devices(processes) as devices:
        tasks = (delayed(_attempt)(job, setting, devices) for job in jobs)
        yield from Parallel(n_jobs=processes, return_as="generator_unordered", pre_dispatch=processes)(tasks)


def _on_cluster(jobs: Sequence[Job], setting: Setting, processes: int, address: str) -> Iterator[_Result]:
    """Ray's own pool; its joblib backend cannot tell of a result before it has all."""
    try:
        import ray
        from ray.util.multiprocessing import Pool
    except ImportError as error:
        raise ValueError("ray_address needs Ray: pip install 'dwskd_monai[cluster]'") from error
    ray.init(address=address, ignore_reinit_error=True)
    try:
        gpus = ray.cluster_resources().get("GPU", 0)
        with Pool(processes, ray_remote_args={"num_gpus": min(1, gpus / processes)}) as pool:
            yield from pool.imap_unordered(partial(_attempt, setting=setting, devices=None), jobs, chunksize=1)
    finally:
        ray.shutdown()


@contextmanager
def _shared_devices(processes: int) -> Iterator[Any]:
    """A queue of the GPUs of this machine, each as often as processes share it; None where there is no choice."""
    count = torch.cuda.device_count()
    if count < 2:
        yield None
        return
    with Manager() as manager:
        queue = manager.Queue()
        for index in range(max(processes, count)):
            queue.put(f"cuda:{index % count}")
        yield queue
