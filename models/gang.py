"""The processes of one training: who am I among how many, and sums over all. One process is the ordinary case."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_CPU_FLAGS_BF16 = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Gang:
    """This process's place. With one process nothing below communicates."""

    rank: int = 0
    processes: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is trained: its gradients become the mean over all processes."""
        if self.processes == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True)

    def exchange(self, network: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around a forward and backward pass: the processes exchange gradients in the last of a step alone."""
        if isinstance(network, DistributedDataParallel) and not last:
            alone: contextlib.AbstractContextManager[None] = network.no_sync()
            return alone
        return contextlib.nullcontext()

    def total(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Each value summed over all processes, (n,) of any length that they agree on."""
        if self.processes == 1:
            return values
        shared = torch.from_numpy(values).to(self.device, copy=True)
        dist.all_reduce(shared)
        summed: npt.NDArray[np.float64] = shared.cpu().numpy()
        return summed

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite every process's tensors with those of rank 0."""
        if self.processes > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def join_gang() -> Gang:
    """This process's place as torchrun told it in the environment, its threads and device set accordingly.

    Processes on one machine share its cores evenly. Call `leave_gang` at the end.
    """
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or its products differ from run to run
    else:
        device = torch.device("cpu")
        torch.set_num_threads(max(1, _cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    if processes > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Gang(rank, processes, device)


def leave_gang() -> None:
    """Part from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def lost_another(error: BaseException) -> bool:
    """Whether an exception only tells that another process of the gang has gone, and nothing of this one."""
    told_by_gloo = isinstance(error, RuntimeError) and "gloo" in str(error)  # which has no exception of its own
    return isinstance(error, dist.DistError) or told_by_gloo


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 itself; a CPU that only emulates it takes twice the time of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = Path("/proc/cpuinfo")
    return flags.exists() and not _CPU_FLAGS_BF16.isdisjoint(flags.read_text().split())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
