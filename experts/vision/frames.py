"""From the frames of many videos to full batches for a model, and from findings in frames to spans."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.experts.footage import Pictures, Seconds, View
from tagline.experts.tags import Modality, Sighting, Tag, to_spans

if TYPE_CHECKING:
    import torch

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a model wants its pictures. Plain numbers, kept as JSON beside its weights."""

    size: tuple[int, int]  # height, width of what the model gets
    # First scale the shorter side to this many pixels, or stretch to (height, width), and then cut out
    # the middle; None: stretch to `size`.
    scale: int | tuple[int, int] | None = None
    mean: tuple[float, ...] = IMAGENET[0]  # of pixels in 0..1
    std: tuple[float, ...] = IMAGENET[1]
    interpolation: str = "bilinear"  # or "bicubic"
    antialias: bool = True

    @classmethod
    def of(cls, values: dict[str, Any]) -> Preparation:
        """Read what `as_json` wrote."""
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list | tuple)}
        return cls(**{**values, **lists})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def fit(self, frames: Pictures) -> torch.Tensor:
        """Scale and cut. frames: uint8 [T, H, W, 3]; returns uint8 [T, 3, h, w]."""
        from torchvision.transforms.v2 import functional as F

        pictures = as_tensor(frames)
        how = F.InterpolationMode(self.interpolation)
        to = self.size if self.scale is None else self.scale
        scaled = F.resize(
            pictures, [to] if isinstance(to, int) else list(to), interpolation=how, antialias=self.antialias
        )
        return F.center_crop(scaled, list(self.size))

    @property
    def side(self) -> int:
        """The shorter side of the frames to ask the decoder for: more would be thrown away."""
        if isinstance(self.scale, int):
            return self.scale
        return max(self.size if self.scale is None else self.scale)

    def normalise(self, fitted: torch.Tensor, device: str) -> torch.Tensor:
        """uint8 [N, 3, ...] to float32 of the same shape, on the device."""
        import torch

        shape = (1, -1) + (1,) * (fitted.ndim - 2)
        mean = torch.tensor(self.mean, device=device).view(shape)
        scale = 1 / torch.tensor(self.std, device=device).view(shape)
        return fitted.to(device).float().div_(255).sub_(mean).mul_(scale)


def as_tensor(frames: Pictures) -> torch.Tensor:
    """uint8 [T, H, W, 3] as uint8 [T, 3, H, W], without a copy. Nobody may write into it."""
    import torch

    with warnings.catch_warnings():
        # Footage is read-only; torch cannot express that and warns.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(frames).permute(0, 3, 1, 2)


def batched(
    model: Callable[[torch.Tensor], Iterable[Any]],
    tensors: Iterable[torch.Tensor],
    size: int,
) -> list[list[Any]]:
    """Run a model over the items of all tensors, `size` at a time, across their borders.

    tensors: one a video, [T_i, ...], made only when their turn comes; model: [n, ...] to n results.
    Returns the results of each tensor.
    """
    import torch

    counts: list[int] = []
    results: list[Any] = []
    waiting: list[torch.Tensor] = []
    pending = 0
    for tensor in tensors:
        counts.append(len(tensor))
        if not len(tensor):
            continue
        waiting.append(tensor)
        pending += len(tensor)
        while pending >= size:
            whole = torch.cat(waiting) if len(waiting) > 1 else waiting[0]
            results.extend(model(whole[:size]))
            waiting, pending = ([whole[size:]], pending - size) if pending > size else ([], 0)
    if pending:
        results.extend(model(torch.cat(waiting)))
    ends = np.cumsum(counts).tolist()
    return [results[end - count : end] for count, end in zip(counts, ends, strict=True)]


def frame_interval(times: Seconds, otherwise: float = 1.0) -> float:
    """Seconds between neighbouring frames: the median, or `otherwise` where there is one frame only."""
    return float(np.median(np.diff(times))) if len(times) > 1 else otherwise


def view_interval(view: View, otherwise: float = 1.0) -> float:
    """Seconds between two frames of a view, where everything changes."""
    return frame_interval(view.times, otherwise) if view.interval is None else view.interval


def frame_spans(
    sightings: Sequence[Sighting],
    times: Seconds | View,
    duration: float | None,
    modality: Modality,
    source: str,
    *,
    min_frames: int,
    otherwise: float = 1.0,
) -> list[Tag]:
    """Tags from sightings in frames sampled at `times`.

    A frame stands for the time up to the next one; one frame in which a thing was missed does not cut
    its span in two. A video with fewer frames than `min_frames` needs the thing in all of them.

    Frames of `Changes` lie unevenly: see `spans_of_looks`.
    """
    if isinstance(times, View):
        if times.until is not None:
            least = max(1, min(min_frames, sum(frame_counts(times).values())))
            tags = spans_of_looks(sightings, times, modality, source, min_frames=least)
            return [end_with_video(tag, duration) for tag in tags]
        times = times.times
    step = frame_interval(times, otherwise)
    tags = to_spans(
        sightings,
        modality,
        source,
        gap=2.5 * step,
        tail=step,
        min_frames=max(1, min(min_frames, len(times))),
    )
    return [end_with_video(tag, duration) for tag in tags]


def spans_of_looks(
    sightings: Sequence[Sighting], view: View, modality: Modality, source: str, *, min_frames: int
) -> list[Tag]:
    """Tags from sightings in looks that lie unevenly, because nobody looked while nothing changed.

    A look speaks for as long as its picture is known to have stayed, and half an interval before and after,
    or half the way to what was seen there. One look in which a thing was missed does not cut its span in
    two, a stretch that nobody saw does.
    """
    counts = frame_counts(view)
    starts, ends = look_starts(view), look_ends(view)
    index = {float(time): i for i, time in enumerate(view.times)}
    by_text: dict[str, list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        by_text[sighting.text].append(sighting)
    tags = []
    for text, found in by_text.items():
        if sum(counts[time] for time in {one.time for one in found}) < min_frames:
            continue
        found.sort(key=lambda one: one.time)
        runs = [[found[0]]]
        for one in found[1:]:
            if joined(view, index[runs[-1][-1].time], index[one.time]):
                runs[-1].append(one)
            else:
                runs.append([one])
        for run in runs:
            best = max(run, key=lambda one: one.score)
            start, end = float(starts[index[run[0].time]]), float(ends[index[run[-1].time]])
            tags.append(Tag(text, modality, best.score, start, end, source, best.time))
    return sorted(tags, key=lambda tag: (tag.start, tag.text))


def frame_counts(view: View) -> dict[float, int]:
    """By its time: as how many even frames each counts; a look at what stands is as good as many."""
    if view.until is None:
        return dict.fromkeys(view.times.tolist(), 1)
    more = ((view.until - view.times) / view_interval(view) + 1e-6).astype(int)
    return dict(zip(view.times.tolist(), (1 + more).tolist(), strict=True))


def look_starts(view: View) -> Seconds:
    """From when on each look of `Changes` speaks: seconds [T]."""
    if view.until is None or not len(view.times):
        return view.times
    before = np.concatenate([view.times[:1], view.until[:-1]])
    return np.maximum(view.times - view_interval(view) / 2, (view.times + before) / 2)


def look_ends(view: View) -> Seconds:
    """Up to when each look of `Changes` speaks: seconds [T]."""
    if view.until is None or not len(view.times):
        return view.times
    following = np.append(view.times[1:], np.inf)
    return np.minimum(view.until + view_interval(view) / 2, (view.until + following) / 2)


def frame_ends(view: View, otherwise: float) -> Seconds:
    """Up to when each frame of any view speaks: seconds [T]."""
    return view.times + frame_interval(view.times, otherwise) if view.until is None else look_ends(view)


def joined(view: View, first: int, second: int) -> bool:
    """Whether what was seen in two looks, by their numbers, is one span: one look between may have missed it.

    No two looks from the one to the other may have a stretch between them that nobody saw.
    """
    if view.until is None or second - first > 2:
        return second - first <= 2
    step = view_interval(view)
    unseen = view.times[first + 1 : second + 1] - view.until[first:second]
    apart = view.times[second] - view.until[first]
    return bool((unseen <= 1.5 * step).all() and apart <= 2.5 * step)


def end_with_video(tag: Tag, duration: float | None) -> Tag:
    """The tag, ending no later than its video."""
    if duration is None or tag.end <= duration:
        return tag
    return replace(tag, end=max(tag.start, duration))


def no_frames_note(sampled: int, expert: str) -> list[str]:
    """The note on a video of which nothing could be looked at."""
    return [] if sampled else [f"no frame for the {expert} expert"]


def top_classes(scores: Any, count: int, threshold: float) -> list[tuple[int, float]]:
    """The best `count` classes that reach the threshold, best first. scores: [K]."""
    best = np.argsort(-np.asarray(scores), kind="stable")[:count]
    return [(int(i), float(scores[i])) for i in best if scores[i] >= threshold]
