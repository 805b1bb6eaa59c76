"""Steps of the rules against plain computing, batch statistics of mixed batches, and recalibration."""

from contextlib import nullcontext

import numpy as np
import pytest
import supernet_spaces  # noqa: F401
import torch
from torch.nn import functional as F

from evaluators.supernet import CachedSplit, Supernet, subnet_accuracy
from evaluators.supernet.gradients import GradientBuffer
from evaluators.supernet.mixing import Targets, smooth_targets
from evaluators.supernet.rewiring import rewire
from evaluators.supernet.sampling import Elastic
from evaluators.supernet.step import interleaved_step, sandwich_step
from searchspaces import NasError, get_space


def setting(space, size):
    torch.manual_seed(0)
    largest = get_space(space).largest(image_size=size, num_classes=5)
    supernet = Supernet(largest).double().train()
    elastic = Elastic.of(largest, lambda architecture: supernet.fits(architecture) is None)
    images = torch.randn(6, 3, size, size, dtype=torch.float64)
    targets = Targets(smooth_targets(torch.tensor([0, 1, 2, 3, 4, 0]), 5, 0.1).double())
    return supernet, elastic, images, targets


def flat_gradients(supernet, loss):
    found = torch.autograd.grad(loss, list(supernet.parameters()), allow_unused=True)
    pairs = zip(found, supernet.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


@pytest.mark.parametrize("distill", [False, True])
def test_a_sandwich_step(distill):
    supernet, elastic, images, targets = setting("nested_toy", 8)
    networks = [elastic.largest, elastic.smallest(0, 0), *elastic.draw(1, np.random.default_rng(0), 0, 0)]
    teacher = supernet(images).detach().softmax(-1)
    losses = [
        F.cross_entropy(supernet(images, network), teacher if distill and place else targets.classes)
        for place, network in enumerate(networks)
    ]
    wanted = flat_gradients(supernet, sum(losses) / 3)
    buffer = GradientBuffer(supernet)
    loss = sandwich_step(supernet, buffer, images, targets, networks, nullcontext, distill)
    assert loss.item() == pytest.approx(sum(losses).item() / 3, rel=1e-12)
    torch.testing.assert_close(buffer.flat, wanted, rtol=1e-10, atol=1e-12)


def test_a_mixed_batch_has_one_set_of_batch_statistics():
    """The stem of ViT-ResNAS runs once for the whole batch; its statistics move once."""
    supernet, elastic, images, targets = setting("vit_resnas_micro", 56)
    assert supernet.trunk == "body.stem.convolutions"
    twin = supernet.extract(elastic.largest)
    networks = elastic.draw(2, np.random.default_rng(0), 0, 0)
    interleaved_step(supernet, GradientBuffer(supernet), images, targets, networks, nullcontext)
    twin(images)
    for name, buffer in twin.named_buffers():
        torch.testing.assert_close(supernet.stored(f"network.{name}"), buffer, rtol=1e-12, atol=1e-12)


def test_more_networks_than_images():
    supernet, elastic, images, targets = setting("nested_toy", 8)
    networks = elastic.draw(9, np.random.default_rng(0), 0, 0)
    buffer = GradientBuffer(supernet)
    assert torch.isfinite(interleaved_step(supernet, buffer, images, targets, networks, nullcontext))


def test_recalibrated_statistics_are_the_mean_over_the_images_and_stay_out_of_the_supernet():
    supernet, elastic, images, _ = setting("nested_toy", 8)
    supernet.float()
    split = CachedSplit(images.float(), torch.tensor([0, 1, 2, 3, 4, 0]))
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    network = elastic.smallest(0, 0)
    alone = supernet.extract(network)
    alone.batch_norm.momentum = 1.0  # one batch: its statistics are the mean
    alone(split.images)
    labels = alone.eval()(split.images).argmax(1)
    wanted = CachedSplit(split.images, labels)
    found = subnet_accuracy(supernet, [network], wanted, batch_norm="recalibrate", calibration=split)
    assert found == [1.0]
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    with pytest.raises(NasError, match="needs calibration images"):
        subnet_accuracy(supernet, [network], split, batch_norm="recalibrate")


@pytest.mark.parametrize("space", ["nested_toy", "asvit"])
def test_rewiring_keeps_the_full_network_and_takes_the_moments_along(space):
    torch.manual_seed(0)
    size = 8 if space == "nested_toy" else 32
    largest = get_space(space).largest(image_size=size, num_classes=5)
    largest = largest.replace(choices={"width": 8}) if space == "asvit" else largest
    supernet = Supernet(largest).double().eval()
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    before = supernet(images)
    moments = {parameter: 2 * parameter.detach() for parameter in supernet.parameters()}
    orders = rewire(supernet.network, lambda parameter: [moments[parameter]])
    assert any(order.tolist() != sorted(order.tolist()) for order in orders.values())
    torch.testing.assert_close(supernet(images), before, rtol=0, atol=1e-13)
    assert all(torch.equal(moment, 2 * parameter) for parameter, moment in moments.items())
    again = rewire(supernet.network)
    assert all(order.tolist() == sorted(order.tolist()) for order in again.values())
