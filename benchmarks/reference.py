"""The other side of every ratio: the method in the plain form in which it is published, written from its description.

What makes it slow is on purpose: maps in contiguous memory, a teacher that runs in every step and keeps its graph, flow
matrices of C x C and their full two-dimensional transforms kept for the backward pass, ranking by a Python loop over
queries. Networks are ours only as far as their parameters go; the passes are written out here, so that tests can hold
two formulations against each other.

Shapes: B batch, C channels, H x W map size, S image size, K identities.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from owkd.models.blocks import Cbam, ChannelLayerNorm, ConvNextBlock
from owkd.models.convnext import ConvNext, Stage
from owkd.models.gce import GceBlock, GceNet
from owkd.models.outputs import BackboneOutput, EnsembleOutput, GceOutput
from owkd.models.saliency import WeakSaliency
from owkd.models.wse import WseNet

PUBLISHED_FLOW = 1e-4
PUBLISHED_LOGIT = 1e-2
MARGIN = 1.0


def contiguous(model: WseNet) -> WseNet:
    """The same network with every parameter in contiguous memory, changed in place."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
    return model


def ensemble(model: WseNet, images: Tensor, saliency: bool) -> EnsembleOutput:
    """Pass of the whole ensemble over images (B, 3, S, S) in [0, 1]."""
    images = images.contiguous()
    original = backbone(model.original, images, saliency)
    attention = backbone(model.attention, images, saliency)
    assert attention.spatial_gate is not None
    parts = (
        _reduced(original.last_map),
        _reduced(attention.last_map),
        attention.spatial_gate,
        _tiles(images, original),
    )
    return EnsembleOutput(original, attention, gce(model.gce, torch.cat(parts, dim=1)))


def backbone(net: ConvNext, images: Tensor, saliency: bool) -> BackboneOutput:
    """One ConvNeXt's pass and, on request, its second one, dimmed where the first saw most."""
    features, last, gate = _stages(net, images, None)
    embedding = _head_norm(net, last)
    logits = None
    if saliency:
        logits = net.head(_head_norm(net, _stages(net, images, features)[1]))
    return BackboneOutput(net.head(embedding), embedding, features, last, gate, logits)


def gce(net: GceNet, x: Tensor) -> GceOutput:
    """GCE-Net's pass over its input (B, 1793, 7, 7 as published)."""
    layers: list[Tensor] = []
    y = x
    for block in net.blocks:
        assert isinstance(block, GceBlock)
        hidden = F.relu(block.norm1(block.conv1(y)))
        hidden = F.relu(block.norm2(block.conv2(hidden)))
        hidden = block.norm3(block.conv3(hidden))
        pooled = F.adaptive_avg_pool2d(hidden, 1).flatten(1).unsqueeze(1)
        scale = torch.sigmoid(block.attention.conv(pooled)).transpose(1, 2).unsqueeze(3)
        y = F.relu(y + hidden * scale)
        layers.append(y)
    embedding = F.adaptive_avg_pool2d(y, 1).flatten(1)
    return GceOutput(x, (layers[0], layers[1], layers[2]), embedding, net.head(embedding))


def _stages(
    net: ConvNext, x: Tensor, dimmed_by: tuple[Tensor, ...] | None
) -> tuple[tuple[Tensor, ...], Tensor, Tensor | None]:
    """Stage features (a student's projected), last map, last spatial gate."""
    features = []
    gate = None
    for i, (down, stage) in enumerate(zip(net.downsampling, net.stages, strict=True)):
        assert isinstance(down, nn.Sequential)
        assert isinstance(stage, Stage)
        for layer in down:
            x = _channel_norm(layer, x) if isinstance(layer, ChannelLayerNorm) else layer(x)
        if dimmed_by is not None:
            mechanism = net.saliency[i]
            assert isinstance(mechanism, WeakSaliency)
            x = x * _dimming(mechanism, dimmed_by[i])
        for block in stage.blocks:
            assert isinstance(block, ConvNextBlock)
            x = _block(block, x)
        features.append(x if net.projections is None else net.projections[i](x))
        if stage.cbam is not None:
            x, gate = _cbam(stage.cbam, x)
    return tuple(features), x, gate


def _block(block: ConvNextBlock, x: Tensor) -> Tensor:
    depthwise, project = block.depthwise, block.project
    y = F.conv2d(x, depthwise.weight, depthwise.bias, padding=3, groups=x.shape[1])
    y = F.gelu(block.expand(block.norm(y.permute(0, 2, 3, 1))))
    y = F.linear(y, project.weight, project.bias)
    return torch.add(x, (block.scale * y).permute(0, 3, 1, 2))


def _channel_norm(norm: ChannelLayerNorm, x: Tensor) -> Tensor:
    mean = x.mean(dim=1, keepdim=True)
    variance = (x - mean).pow(2).mean(dim=1, keepdim=True)
    x = (x - mean) / torch.sqrt(variance + norm.eps)
    scaled: Tensor = norm.weight[:, None, None] * x + norm.bias[:, None, None]
    return scaled


def _head_norm(net: ConvNext, x: Tensor) -> Tensor:
    embedding: Tensor = net.norm(x.mean(dim=(2, 3)))
    return embedding


def _dimming(mechanism: WeakSaliency, feature: Tensor) -> Tensor:
    seen = (feature * F.adaptive_avg_pool2d(feature, 1)).mean(dim=1, keepdim=True)
    mask = F.threshold(F.relu(mechanism.conv(seen)), 0.01, 0)
    dimmed: Tensor = 1 - mechanism.strength * torch.sigmoid(mechanism.scale * mask)
    return dimmed


def _cbam(cbam: Cbam, x: Tensor) -> tuple[Tensor, Tensor]:
    pooled = [F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)]
    weights = torch.sigmoid(sum(cbam.channel_mlp(part) for part in pooled))
    x = x * weights[:, :, None, None]
    summary = torch.cat((x.max(dim=1, keepdim=True).values, x.mean(dim=1, keepdim=True)), dim=1)
    gate = torch.sigmoid(cbam.spatial_norm(cbam.spatial_conv(summary)))
    return x * gate, gate


def _reduced(x: Tensor) -> Tensor:
    """Half the channels: of groups of 32, pair after pair, the averages of all groups side by side."""
    groups = x.split(32, dim=1)
    pairs = [(group[:, 2 * j] + group[:, 2 * j + 1]) / 2 for j in range(16) for group in groups]
    return torch.stack(pairs, dim=1)


def _tiles(images: Tensor, like: BackboneOutput) -> Tensor:
    """The gray image in tiles of the last map's size: channel `column * stride + row`."""
    size = like.last_map.shape[2]
    gray = 0.2989 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    rows = [row.split(size, dim=2) for row in gray.split(size, dim=1)]
    return torch.stack([rows[row][column] for column in range(len(rows)) for row in range(len(rows))], dim=1)


def flow(x: Tensor, y: Tensor) -> Tensor:
    """G = X Y^T / N of maps of equal size: (B, Cx, Cy)."""
    x, y = x.flatten(2), y.flatten(2)
    return torch.bmm(x, y.transpose(1, 2)) / x.shape[2]


def amplitude(matrix: Tensor) -> Tensor:
    """|FFT2|, orthonormal."""
    absolute: Tensor = torch.fft.fft2(matrix, norm="ortho").abs()
    return absolute


def feature_terms(student: EnsembleOutput, teacher: EnsembleOutput, stage_weights: Tensor) -> dict[str, Tensor]:
    """Gram and spectrum terms of the backbones (summed over stages and batch) and of GCE-Net (batch means)."""
    names = ("backbone_gram", "backbone_spectrum", "gce_gram", "gce_spectrum")
    terms = {name: student.gce.input.new_zeros(()) for name in names}
    for i in range(4):
        ours = flow(student.original.stage_features[i], student.attention.stage_features[i])
        theirs = flow(teacher.original.stage_features[i], teacher.attention.stage_features[i])
        terms["backbone_gram"] = terms["backbone_gram"] + (stage_weights[i] * _mse(ours, theirs)).sum()
        spectra = _mse(amplitude(ours), amplitude(theirs))
        terms["backbone_spectrum"] = terms["backbone_spectrum"] + (stage_weights[i] * spectra).sum()
    chains = ((student.gce.input, *student.gce.layers), (student.gce.input, *teacher.gce.layers))
    for our_pair, their_pair in zip(pairwise(chains[0]), pairwise(chains[1]), strict=True):
        ours, theirs = flow(*our_pair), flow(*their_pair)
        terms["gce_gram"] = terms["gce_gram"] + _mse(ours, theirs).mean()
        terms["gce_spectrum"] = terms["gce_spectrum"] + _mse(amplitude(ours), amplitude(theirs)).mean()
    return terms


def _mse(ours: Tensor, theirs: Tensor) -> Tensor:
    return ((ours - theirs) ** 2).mean(dim=(1, 2))


def logit_terms(student: EnsembleOutput, teacher: EnsembleOutput) -> dict[str, Tensor]:
    """Cross-entropy against softmax(teacher), batch means."""
    pairs = {
        "logit_original": (student.original.logits, teacher.original.logits),
        "logit_attention": (student.attention.logits, teacher.attention.logits),
        "logit_gce": (student.gce.logits, teacher.gce.logits),
    }
    return {
        name: -(torch.softmax(theirs, dim=1) * torch.log_softmax(ours, dim=1)).sum(dim=1).mean()
        for name, (ours, theirs) in pairs.items()
    }


def weigh(terms: dict[str, Tensor]) -> Tensor:
    """Published coefficients: 1e-2 for the logits, 1e-4 for everything else."""
    factors = [PUBLISHED_LOGIT if name.startswith("logit") else PUBLISHED_FLOW for name in terms]
    return torch.stack([factor * term for factor, term in zip(factors, terms.values(), strict=True)]).sum()


def stage_weights(head: nn.Linear, teacher: EnsembleOutput) -> Tensor:
    """The published stage weights (4, B): 4 softmax of a linear layer on the teacher's pooled last features."""
    last = (teacher.original.stage_features[3], teacher.attention.stage_features[3])
    pooled = torch.cat([F.adaptive_avg_pool2d(feature, 1).flatten(1) for feature in last], dim=1)
    weights: Tensor = 4 * torch.softmax(head(pooled), dim=1).T
    return weights


def supervised(output: EnsembleOutput, labels: Tensor) -> Tensor:
    """Sum of the cross-entropies and of the batch-hard triplet losses, anchor after anchor."""
    total = F.cross_entropy(output.gce.logits, labels) + _triplet(output.gce.embedding, labels)
    for member in (output.original, output.attention):
        total = total + F.cross_entropy(member.logits, labels) + _triplet(member.embedding, labels)
        if member.saliency_logits is not None:
            total = total + F.cross_entropy(member.saliency_logits, labels)
    return total


def _triplet(embedding: Tensor, labels: Tensor) -> Tensor:
    losses = []
    for anchor in range(len(labels)):
        distances = torch.linalg.vector_norm(embedding - embedding[anchor], dim=1)
        others = torch.arange(len(labels)) != anchor
        same, different = distances[others & (labels == labels[anchor])], distances[labels != labels[anchor]]
        if len(same) and len(different):
            losses.append(F.relu(MARGIN + same.max() - different.min()))
    return torch.stack(losses).mean() if losses else embedding.new_zeros(())


def mean_average_precision(
    queries: NDArray[np.float32],
    query_identities: NDArray[np.int64],
    gallery: NDArray[np.float32],
    gallery_identities: NDArray[np.int64],
    own: NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """mAP and rank-1 of a Python loop: for every query all distances, a full sort, and a walk down the list.

    queries (Q, D), gallery (N, D) and their identities; own (Q,): the gallery position of each query, which its list
    leaves out. Queries without a match count nowhere.
    """
    precisions, firsts = [], []
    for index in range(len(queries)):
        distances = np.linalg.norm(gallery - queries[index], axis=1)
        order = np.argsort(distances, kind="stable")
        if own is not None:
            order = order[order != own[index]]
        found, precision, hits = 0, 0.0, []
        for rank, position in enumerate(order, start=1):
            if gallery_identities[position] == query_identities[index]:
                found += 1
                precision += found / rank
                hits.append(rank)
        if hits:
            precisions.append(precision / found)
            firsts.append(hits[0] == 1)
    return float(np.mean(precisions)), float(np.mean(firsts))
