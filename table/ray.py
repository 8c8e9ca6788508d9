"""Training on several nodes: one process for each worker of a Ray cluster, as torchrun would start them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tagline.experts.storage import write_atomic
from tagline.tagging.ray import ClusterError
from tagline.tagging.ray.connection import connected

WorkerTask = Callable[[], Mapping[str, Any]]
RESTARTS = 8  # after lost nodes; each goes on from the last checkpoint
RUNS = "ray"  # a folder beside the checkpoints, for Ray's own notes
RESULT = "result.json"  # in it: what the work returned


def on_cluster(
    address: str, work: WorkerTask, folder: Path, *, workers: int | None = None, gpu: bool = False
) -> dict[str, Any]:
    """Run `work` on every worker of one process group; returns what the first of them returned, as JSON.

    work: is told by torch.distributed who it is, and must go on from what lies in `folder`, which every
    node sees: after a lost node all workers are started again, on as many nodes as are left if `workers` is
    not given. workers: processes; None: one for each GPU, or for each node.
    """
    with connected(address) as machines:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        count = workers or int(sum(node.gpus for node in machines) if gpu else len(machines))
        if count < 1:
            raise ClusterError(f"the cluster at {address} has no GPU; give --device cpu to train without")
        cpus = max(1.0, min(node.cpus for node in machines) - 1) if not workers else 1.0
        folder = folder.expanduser().resolve()
        trainer = TorchTrainer(
            _each,
            train_loop_config={"work": work, "result": str(folder / RUNS / RESULT)},
            torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=count,
                use_gpu=gpu,
                resources_per_worker={"CPU": cpus, **({"GPU": 1} if gpu else {})},
            ),
            run_config=RunConfig(
                name=RUNS,
                storage_path=str(folder),
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        (folder / RUNS / RESULT).unlink(missing_ok=True)
        try:
            trainer.fit()
        except Exception as error:  # what a worker raised, wrapped by Ray
            raise ClusterError(f"training on the cluster ended early: {_cause(error)}") from error
    result: dict[str, Any] = json.loads((folder / RUNS / RESULT).read_text(encoding="utf-8"))
    return result


def _each(config: Mapping[str, Any]) -> None:
    """One worker: do the work; the first of them writes down the result, where every node sees it."""
    import ray.train

    result = config["work"]()
    if ray.train.get_context().get_world_rank() == 0:
        write_atomic(Path(config["result"]), json.dumps(dict(result)))


def _cause(error: BaseException) -> str:
    """The sentence of the first error that is not Ray's."""
    inner: BaseException = error
    while True:
        nested = getattr(inner, "worker_failures", None) or {}
        following = next(iter(nested.values()), None) or getattr(inner, "cause", None) or inner.__cause__
        if not isinstance(following, BaseException) or following is inner:
            break
        inner = following
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(inner).__name__


def train_here(library: str, config: Mapping[str, Any], folder: str, device: str | None) -> dict[str, Any]:
    """What one worker does: load the library, train with the others, say how it ended."""
    from tagline.table.config import TableConfig
    from tagline.table.train import initial_weights, load_training_data, train
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.ml.config import from_dict
    from tagline.tagging.ml.trainer import to_stderr

    found: TableConfig = from_dict(TableConfig, config)
    weights = initial_weights(found.train.weights)
    with Catalog.open(library, create=False) as catalog:
        data = load_training_data(catalog, found, say=to_stderr)
    outcome = train(found, data, Path(folder), weights=weights, device=device, say=to_stderr)
    return {
        "t2v_r1": outcome.validation.t2v.r1,
        "v2t_r1": outcome.validation.v2t.r1,
        "folder": str(outcome.folder),
        "left_out": len(data.left_out),
    }
