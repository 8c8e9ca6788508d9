"""The run on a cluster: what is still to do, the stages as a Ray Data pipeline, and a watch over them."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tagline.experts.base import Expert
from tagline.tagging.pipeline.plan import StalenessRule
from tagline.tagging.pipeline.settings import Settings
from tagline.tagging.ray import ClusterError, pools, shards, stages
from tagline.tagging.ray.connection import Node, connected, nodes
from tagline.tagging.ray.pools import READ, ActorPool
from tagline.tagging.ray.shards import ShardStore
from tagline.tagging.ray.sources import Listing, VideoSource, from_text
from tagline.tagging.ray.stages import (
    RECORD_COLUMN,
    DoneInShards,
    ExpertStage,
    ReadStage,
    RunSpec,
    SourceResult,
    WriteStage,
)

Item = TypeVar("Item")

PATIENCE = 900.0  # seconds without any result before the run is given up
SOURCES_PER_BLOCK = 8  # sources that are handed on, and repeated after a loss, together
LARGEST_PART = 1024  # videos in one part of the shards
FEWEST_PARTS = 50  # in a run of some size, so that a loss costs little of it


@dataclass(slots=True)
class ClusterRunResult:
    """How a run ended."""

    found: int
    unchanged: int  # known with the same size and time, all experts done
    seen: int = 0
    looked: Counter[str] = field(default_factory=Counter)  # expert: videos
    tags: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, str]] = field(default_factory=list)  # url, expert or "", reason
    broken: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # of work, by stage
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))  # CPU seconds, likewise
    wall: float = 0.0
    pools: list[ActorPool] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def partly(self) -> bool:
        return bool(self.failures or self.broken or self.troubles)

    def add_result(self, line: SourceResult) -> None:
        self.seen += 1
        self.looked.update(line.looked)
        self.tags.update(line.tags)
        self.failures += [(line.url, expert, reason) for expert, reason in line.failures]
        self.broken.update(line.broken)
        for stage, seconds in line.seconds.items():
            self.seconds[stage] += seconds
        for stage, seconds in line.cpu.items():
            self.cpu[stage] += seconds


def run_spec(
    settings: Settings,
    experts: Sequence[Expert],
    names: Sequence[str],
    *,
    collection: str | None = None,
    allow_pickle: bool = False,
    device: str = "cpu",
    retry: bool = False,
) -> RunSpec:
    """What every node has to know. `names` are those that settings build `experts` by, in the same order."""
    if [expert.name for expert in experts] != list(names):
        raise ClusterError("on a cluster an expert must be called as the settings call it")
    return RunSpec(
        settings,
        StalenessRule.of_experts(experts, retry=retry),
        {expert.name: tuple(expert.needs) for expert in experts},
        collection,
        allow_pickle,
        device,
    )


def read_done(store: ShardStore) -> tuple[DoneInShards, dict[str, float]]:
    """What the shards hold already, and the seconds that each expert took for a video."""
    parts = store.parts()
    found = DoneInShards()
    seconds: dict[str, list[float]] = defaultdict(list)
    if not parts:
        return found, {}
    looked: dict[str, str] = {}  # hash: when an expert last said something of it
    for row in shards.current_looks(store, parts, ("version", "fingerprint", "seconds")):
        looked[row["hash"]] = max(row["at"], looked.get(row["hash"], ""))
        found.done.setdefault(row["hash"], {})[row["expert"]] = (row["version"], row["fingerprint"])
        seconds[row["expert"]].append(row["seconds"] or 0.0)
    failures = store.dataset("failures", parts).to_table().to_pylist()
    for row in shards.newest_rows(failures, "hash", "expert"):
        outlived = row["expert"] == "" and row["at"] <= looked.get(row["hash"], "")  # it was read since
        if row["hash"] is not None and not outlived:
            found.failed.setdefault(row["hash"], {})[row["expert"]] = row["fingerprint"]
    columns = ["url", "size", "stamp", "hash", "at", "part"]
    for row in shards.newest_rows(
        store.dataset("videos", parts).to_table(columns=columns).to_pylist(), "url"
    ):
        if row["stamp"]:  # without one, nobody can tell whether it is still the same
            found.places[from_text(row["url"]), row["size"], row["stamp"]] = row["hash"]
    return found, {name: sum(some) / len(some) for name, some in seconds.items()}


def to_do(sources: Iterable[VideoSource], before: DoneInShards, order: RunSpec) -> list[VideoSource]:
    """The sources that some expert still has to look at, or whose content is not known."""
    left = []
    for source in sources:
        digest = before.places.get((source.url, source.size, source.stamp))
        if digest is None or before.stale(digest, order.rule):
            left.append(source)
    return left


def run(
    address: str,
    listing: Listing,
    order: RunSpec,
    out: str,
    *,
    chosen: Sequence[str] = (),
    batch: int = pools.BATCH,
    patience: float = PATIENCE,
    on_line: Callable[[SourceResult, ClusterRunResult], None] = lambda line, outcome: None,
    say: Callable[[str], None] = lambda text: None,
) -> ClusterRunResult:
    """Tag what is left of the listing on the cluster at `address`, into the shards at `out`.

    chosen: pools as people write them (see pools.parse). Whatever ends the run, the next one goes on.
    """
    wishes = pools.parse_pools(chosen)
    store = ShardStore(out)
    store.create()
    before, seconds = read_done(store)
    left = to_do(listing.sources, before, order)
    outcome = ClusterRunResult(
        len(listing.sources), len(listing.sources) - len(left), troubles=list(listing.troubles)
    )
    if not left:
        return outcome
    with connected(address) as machines:
        outcome.pools = pools.plan_pools(
            order.names, machines, device=order.device, batch=batch, chosen=wishes, seconds=seconds
        )
        say(f"{len(left)} videos on {len(machines)} nodes: {describe_pools(outcome.pools)}")
        begun = time.monotonic()
        for line in with_timeout(
            _run_pipeline(left, before, order, store.url, outcome.pools), patience, say, machines
        ):
            outcome.add_result(line)
            on_line(line, outcome)
        outcome.wall = time.monotonic() - begun
    if outcome.seen < len(left):
        raise ClusterError(
            f"{len(left) - outcome.seen} of {len(left)} videos came to no end; the same command goes on"
        )
    return outcome


def describe_pools(made: Sequence[ActorPool]) -> str:
    return ", ".join(f"{pool.name} {pool.size} x {pool.batch}" for pool in made)


def _run_pipeline(
    left: Sequence[VideoSource], before: DoneInShards, order: RunSpec, out: str, made: Sequence[ActorPool]
) -> Iterator[SourceResult]:
    """The pipeline at work; a line for each source, as parts are written."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.log_internal_stack_trace_to_stdout = False
    blocks = max(1, min(-(-len(left) // SOURCES_PER_BLOCK), 100_000))
    rows = [{RECORD_COLUMN: cell.as_py()} for cell in stages.pack(left)[RECORD_COLUMN]]
    work: Any = ray.data.from_items(rows, override_num_blocks=blocks)
    by_name = {pool.name: pool for pool in made}
    work = _stage(work, ReadStage, by_name[READ], {"order": order, "known": before})
    for place, name in enumerate(order.names):
        pool, later = by_name[name], order.names[place + 1 :]
        work = _stage(
            work, ExpertStage, pool, {"order": order, "name": name, "batch": pool.batch, "later": later}
        )
    part = min(LARGEST_PART, max(SOURCES_PER_BLOCK, len(left) // FEWEST_PARTS))
    claim = min(pools.SPARE_CPUS / 4, by_name[READ].cpus * 4)
    work = work.map_batches(
        _write, batch_size=part, batch_format="pyarrow", num_cpus=claim, fn_kwargs={"out": out}
    )
    try:
        for table in work.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from stages.unpack(table)
    except ray.exceptions.RayError as error:
        raise ClusterError(_ray_error_text(error)) from error


def _write(batch: Any, out: str) -> Any:
    return WriteStage(out)(batch)


def _stage(work: Any, kind: type, pool: ActorPool, arguments: dict[str, Any]) -> Any:
    import ray

    return work.map_batches(
        kind,
        batch_size=pool.batch,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=pool.size),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
        fn_constructor_kwargs=arguments,
    )


def _ray_error_text(error: Exception) -> str:
    """The sentence inside what Ray wraps around an error of ours; the last line of anything else."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    ours = next((line for line in reversed(lines) if "ClusterError:" in line), None)
    if ours is not None:
        return ours.partition("ClusterError:")[2].strip()
    why = lines[-1][:200] if lines else type(error).__name__
    return f"the run on the cluster ended early ({why}); the same command goes on"


def with_timeout(
    items: Iterable[Item], patience: float, say: Callable[[str], None], started: Sequence[Node] = ()
) -> Iterator[Item]:
    """The items, as they come. Says so where none comes for half of `patience` seconds; then gives up."""
    arrived: queue.Queue[tuple[str, Any]] = queue.Queue()

    def draw() -> None:
        try:
            for item in items:
                arrived.put(("item", item))
            arrived.put(("end", None))
        except BaseException as error:
            arrived.put(("error", error))

    threading.Thread(target=draw, name="cluster run", daemon=True).start()
    warned = False
    while True:
        try:
            kind, value = arrived.get(timeout=patience / 2)
        except queue.Empty:
            if warned:
                raise ClusterError(
                    f"nothing has moved for {patience:.0f} s{_missing(started)}, so the run was given up; "
                    "what was written stays, and the same command goes on"
                ) from None
            warned = True
            say(f"nothing has moved for {patience / 2:.0f} s{_missing(started)}")
            continue
        warned = False
        if kind == "end":
            return
        if kind == "error":
            raise value
        yield value


def _missing(started: Sequence[Node]) -> str:
    """How many nodes there still are, in words."""
    if not started:
        return ""
    try:
        left = len(nodes())
    except Exception:  # the head itself is gone
        return ", and the cluster does not answer"
    return f" ({left} of {len(started)} nodes are there)"
