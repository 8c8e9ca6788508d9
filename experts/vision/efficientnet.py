"""EfficientNet-Lite2 as an ONNX graph, filled with the published tensors; neither torch nor timm is needed.

The network: a convolution of stride 2, 21 inverted bottlenecks (widen by a 1 x 1 convolution, a depthwise
convolution, narrow by a 1 x 1 convolution, add the input where its shape is the same), a 1 x 1 convolution,
the mean over the picture, and a linear layer. Each convolution is followed by batch normalisation, which
becomes part of it here, and, but for the narrowing ones, by ReLU6. Padding is TensorFlow's "same".

After the EfficientNet-Lite of Google's TPU repository, and Tan and Le, EfficientNet (2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tagline.experts.vision import onnx

SIDE = 260  # pixels of the square picture
CLASSES = 1000
STRIDES = (1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)  # of the bottlenecks
EPSILON = 1e-3  # of batch normalisation, as TensorFlow has it

Tensor = npt.NDArray[np.float32]


class WrongTensors(ValueError):
    """Tensors that are not those of EfficientNet-Lite2. The message is one sentence for people."""


def efficientnet_lite2(tensors: Mapping[str, Tensor], order: Sequence[str]) -> bytes:
    """The model's bytes: uint8 [N, 260, 260, 3] in, float32 [N, 1000], the classes' probabilities, out.

    order: the tensors' names as the network runs through them. The names themselves are of no account.
    """
    try:
        return _Builder(tensors, order).build()
    except (KeyError, StopIteration, ValueError) as error:
        raise WrongTensors("these are not the tensors of EfficientNet-Lite2") from error


class _Builder:
    """Takes tensor after tensor and adds the layer that it belongs to."""

    def __init__(self, tensors: Mapping[str, Tensor], order: Sequence[str]) -> None:
        # How many batches the normalisation has seen is no part of the network.
        self.left: Iterator[Tensor] = iter([tensors[name] for name in order if tensors[name].ndim])
        self.graph = onnx.Graph("efficientnet-lite2")
        self.least = self.graph.constant("zero", np.float32(0))
        self.most = self.graph.constant("six", np.float32(6))
        self.layers = 0

    def build(self) -> bytes:
        graph = self.graph
        at, channels = self._convolution(self._pixels("pictures"), stride=2)
        for number, stride in enumerate(STRIDES):
            entry, entered = at, channels
            if number:  # the first one does not widen
                at, channels = self._convolution(at)
            at, channels = self._convolution(at, stride=stride, groups=channels)
            at, channels = self._convolution(at, bounded=False)
            if stride == 1 and channels == entered:
                at = graph.add("Add", at, entry)
        at, channels = self._convolution(at)
        pooled = graph.add("Flatten", graph.add("GlobalAveragePool", at), axis=1)
        linear = [graph.constant(f"linear.{part}", next(self.left)) for part in ("weight", "bias")]
        found = graph.add("Softmax", graph.add("Gemm", pooled, *linear, transB=1), axis=1)
        if next(self.left, None) is not None:
            raise ValueError("there are more of them")
        return graph.model(
            {"pictures": (onnx.UINT8, ("N", SIDE, SIDE, 3))}, {found: (onnx.FLOAT, ("N", CLASSES))}
        )

    def _pixels(self, name: str) -> str:
        """uint8 [N, H, W, 3] to float32 [N, 3, H, W] from -1 to 1: mean and deviation are 0.5."""
        graph = self.graph
        floats = graph.add("Cast", graph.add("Transpose", name, perm=[0, 3, 1, 2]), to=onnx.FLOAT)
        scaled = graph.add("Div", floats, graph.constant("half", np.float32(127.5)))
        return graph.add("Sub", scaled, graph.constant("one", np.float32(1)))

    def _convolution(
        self, at: str, *, stride: int = 1, groups: int = 1, bounded: bool = True
    ) -> tuple[str, int]:
        """A convolution with its batch normalisation and ReLU6. Returns its output's name and channels."""
        weight = next(self.left)  # [out, in / groups, k, k]
        scale, shift, mean, variance = np.stack([next(self.left) for _ in range(4)]).astype(float)  # [out]
        factor = scale / np.sqrt(variance + EPSILON)
        folded = (weight * factor[:, None, None, None]).astype(np.float32)
        bias = (shift - mean * factor).astype(np.float32)
        self.layers += 1
        graph, name = self.graph, f"layer{self.layers}"
        found = graph.add(
            "Conv",
            at,
            graph.constant(f"{name}.weight", folded),
            graph.constant(f"{name}.bias", bias),
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            group=groups,
            auto_pad="SAME_UPPER",
        )
        return (graph.add("Clip", found, self.least, self.most) if bounded else found), len(weight)
