"""The processes that train together: one, or as many as torchrun started.

Every process takes its share of a step's images and goes backward in its own pieces; then all
gradients are added up once. The usual wrapper (DistributedDataParallel) would synchronise at the
first backward call of a step, and leave wrong gradients where there are several.

A batch norm that learns normalises by what its own process sees, which in stage two is a
mini-batch as ever, and in the others a part of the step's images; its running statistics become
the mean over all processes after every step. Normalising across processes would tie every layer of
all of them together, and keep the ones that have no image waiting.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, distributed, nn

from glnet.engines.torch_engine import pick_device
from glnet.errors import RunError
from glnet.recipe import TrainSettings

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class Team:
    """This process among its equals."""

    fabric: Fabric

    @property
    def rank(self) -> int:
        """Which of them this is; the first writes files and speaks."""
        return self.fabric.global_rank

    @property
    def size(self) -> int:
        """How many there are."""
        return self.fabric.world_size

    @property
    def leads(self) -> bool:
        """Is this the one that writes files?"""
        return self.rank == 0

    @property
    def grad_scale(self) -> float:
        """The factor by which mixed precision multiplies losses before the backward pass."""
        scaler = self.scaler
        return float(scaler.get_scale()) if scaler is not None else 1.0

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """What keeps fp16 gradients in range; None in other precisions."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def total(self, own: float) -> float:
        """A number added up over all processes."""
        return float(self.sum(torch.tensor(own, dtype=torch.float64)))

    def sum(self, own: Tensor) -> Tensor:
        """A tensor added up over all processes, on the CPU."""
        if self.size == 1:
            return own
        there = own.to(self.fabric.device)
        distributed.all_reduce(there)
        return there.cpu()

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every process's gradients become the sum of all of them: one exchange for all."""
        if self.size == 1:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        for parameter, total in zip(parameters, _added_up(grads), strict=True):
            parameter.grad = total

    def average(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Tensors become their mean over all processes, in place; `weight` is this one's."""
        if self.size == 1 or not tensors:
            return
        one = torch.ones_like(tensors[0][:1])
        *totals, whole = _added_up([tensor * weight for tensor in (*tensors, one)])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total / whole)

    def wait(self) -> None:
        """Until all are here: what the first one wrote can then be read by the others."""
        self.fabric.barrier()


def _added_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors summed over all processes, in one exchange."""
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for tensor, part in zip(tensors, parts, strict=True)]


def assemble(train: TrainSettings) -> Team:
    """One process on one device, or torchrun's; each of those takes a GPU of its own.

    Raises:
        RunError: no such device here, or none for the precision.
    """
    device = pick_device(train.device)
    if train.precision == "fp16" and device.type == "cpu":
        msg = "train.precision: fp16 is for GPUs; say fp32, or bf16"
        raise RunError(msg)
    if train.deterministic and device.type == "cuda":
        # Read by cuBLAS when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True)
        torch.backends.cudnn.benchmark = False
    precision = _PRECISIONS[train.precision]
    if not distributed.is_torchelastic_launched():
        devices = 1 if device.type == "cpu" else [device.index or 0]
        return Team(Fabric(accelerator=device.type, devices=devices, precision=precision))
    beside, everywhere = (int(os.environ[key]) for key in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    fabric = Fabric(
        accelerator=device.type,
        strategy="ddp",
        devices=beside,
        num_nodes=everywhere // beside,
        precision=precision,
    )
    fabric.launch()
    team = Team(fabric)
    if team.scaler is not None:
        # Sets the scale up: a process without images in the first step would have none.
        team.scaler.scale(torch.zeros(1, device=fabric.device))
    return team
