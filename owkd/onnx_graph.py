"""Changes to an exported ONNX graph that leave its numbers alone.

Shapes: B batch, C channels, H x W map size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def replace_reduce_max(graph: onnx.GraphProto) -> None:
    """Every maximum of a map (B, C, H, W) over its positions or its channels becomes a pooling.

    `ReduceMax` takes its axes as an input since opset 18, which the symbolic shape inference of ONNX Runtime, and so
    its quantisation, does not follow.
    """
    from onnx import helper, numpy_helper

    axes = {each.name: sorted(np.asarray(numpy_helper.to_array(each)).ravel().tolist()) for each in graph.initializer}
    sizes = {
        each.name: [size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in (*graph.value_info, *graph.input)
    }
    nodes = []
    for node in graph.node:
        if node.op_type != "ReduceMax":
            nodes.append(node)
            continue
        source, over = node.input
        result, keeps = node.output[0], {each.name: each.i for each in node.attribute}.get("keepdims", 1)
        pooled, turned = f"{result}_pooled", f"{result}_turned"
        if axes[over] in ([2, 3], [-2, -1]) and not keeps:
            nodes += [
                helper.make_node("GlobalMaxPool", [source], [pooled]),  # (B, C, 1, 1)
                helper.make_node("Flatten", [pooled], [result], axis=1),
            ]
        elif axes[over] in ([1], [-3]) and keeps:
            nodes += [
                helper.make_node("Transpose", [source], [turned], perm=[0, 2, 3, 1]),
                helper.make_node("MaxPool", [turned], [pooled], kernel_shape=[1, sizes[source][1]]),  # (B, H, W, 1)
                helper.make_node("Transpose", [pooled], [result], perm=[0, 3, 1, 2]),
            ]
        else:
            raise AssertionError(f"a network takes no maximum over {axes[over]} (keepdims {keeps})")
    del graph.node[:]
    graph.node.extend(nodes)
