"""The slicing contract, for any space that joins by its name: a sub-network is its stand-alone module."""

import numpy as np
import pytest
import supernet_spaces  # noqa: F401  # registers spaces
import torch

from evaluators.supernet import Supernet
from evaluators.supernet.gradients import GradientBuffer, strided_gradients
from evaluators.supernet.sampling import Elastic
from searchspaces import NasError, get_space
from searchspaces.layers import QkvLinear

SIZES = {
    "asvit": (32, 1, 3),
    "nested_toy": (8, 2, 3),
    "vit_resnas_micro": (56, 3, 10),
    "vit_resnas_digits": (32, 1, 10),
    "vit_resnas_cifar": (32, 3, 10),
}
SLOW = ("vit_resnas_digits", "vit_resnas_cifar")
DRAWN = 2


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in SIZES]
)
def case(request):
    """A super-network in float64 and some of its sub-networks."""
    size, channels, classes = SIZES[request.param]
    torch.manual_seed(1)
    largest = get_space(request.param).largest(image_size=size, in_channels=channels, num_classes=classes)
    if request.param == "asvit":
        largest = largest.replace(choices={"width": 8, "stage3.depth": 2})  # a sixteenth of the work
    supernet = Supernet(largest).double()
    elastic = Elastic.of(largest, lambda architecture: supernet.fits(architecture) is None)
    networks = [largest, elastic.smallest(0, 0), *elastic.draw(DRAWN, np.random.default_rng(0), 0, 0)]
    images = torch.randn(4, channels, size, size, dtype=torch.float64)
    return supernet, networks, images


def scatter(module, name, gradient, stored):
    """Return the gradient of the stored tensor that a gradient of the stand-alone tensor means, written out."""
    full = torch.zeros_like(stored)
    owner = module.get_submodule(name.rpartition(".")[0])
    if isinstance(owner, QkvLinear):
        rows, third = gradient.shape[0] // 3, stored.shape[0] // 3
        for part in range(3):
            inside = tuple(slice(size) for size in gradient.shape[1:])
            full[(slice(part * third, part * third + rows), *inside)] = gradient[part * rows : (part + 1) * rows]
    else:
        full[tuple(slice(size) for size in gradient.shape)] = gradient
    return full


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("training", [False, True])
def test_a_subnetwork_is_its_stand_alone_module(case, dtype, bound, training):
    supernet, networks, images = case
    supernet.to(dtype).train(training)
    images = images.to(dtype)
    close = {"rtol": bound, "atol": bound}
    for network in networks:
        alone = supernet.extract(network)
        supernet.zero_grad()
        logits, expected = supernet(images, network), alone(images)
        torch.testing.assert_close(logits, expected, **close)
        logits.square().mean().backward()
        expected.square().mean().backward()
        alone_gradients = {name: parameter.grad for name, parameter in alone.named_parameters()}
        for name, parameter in supernet.network.named_parameters():
            if name not in alone_gradients:
                assert parameter.grad is None
                continue
            wanted = scatter(supernet.network, name, alone_gradients[name], parameter)
            torch.testing.assert_close(parameter.grad, wanted, **close)
    supernet.double()


def test_gradients_add_up_in_the_buffer_as_they_do_by_differentiation(case):
    supernet, networks, images = case
    supernet.eval().zero_grad()
    for network in networks:
        supernet(images, network).square().mean().backward()
    wanted = torch.cat(
        [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in supernet.parameters()]
    )
    buffer = GradientBuffer(supernet)
    for network in networks:
        skeleton = supernet.skeleton(network)
        loss = supernet.run(skeleton, buffer.leaves(skeleton), images).classes.square().mean()
        with strided_gradients():
            loss.backward()
    torch.testing.assert_close(buffer.flat, wanted, rtol=1e-12, atol=1e-12)
    supernet.zero_grad(set_to_none=True)


def test_statistics_reach_the_supernet(case):
    supernet, networks, images = case
    if not list(supernet.buffers()):
        pytest.skip("no batch normalisation here")
    before = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    alone = supernet.train().extract(networks[1])
    supernet(images, networks[1])
    alone(images)
    own = dict(alone.named_buffers())
    for name, buffer in supernet.named_buffers():
        wanted = before[name].clone()
        part = own[name.removeprefix("network.")]
        wanted[tuple(slice(size) for size in part.shape)] = part
        torch.testing.assert_close(buffer, wanted, rtol=1e-12, atol=1e-12)


def test_extracted_weights_are_plain_copies(case):
    supernet, networks, _ = case
    alone = supernet.extract(networks[1])
    plain = get_space(networks[1].space).build(networks[1])
    plain.load_state_dict(alone.state_dict(), strict=True)
    assert str(plain) == str(alone)
    held = {tensor.data_ptr() for tensor in supernet.state_dict().values()}
    assert not held & {tensor.data_ptr() for tensor in alone.state_dict().values()}


def test_kernels_are_not_sliced():
    space = get_space("asvit")
    largest = space.largest(image_size=32)
    supernet = Supernet(largest)
    for name in ("stage1.kernel", "stage2.kernel"):
        other = largest.replace(choices={name: 2 if name == "stage2.kernel" else 4})
        with pytest.raises(NasError, match="kernels cannot be sliced"):
            supernet(torch.zeros(1, 3, 32, 32), other)
    elastic = Elastic.of(largest, lambda architecture: supernet.fits(architecture) is None)
    assert {"heads", "stage1.split", "stage4.expansion"} <= set(elastic.entries)
    assert not any(name.endswith("kernel") for name in elastic.entries)


def test_depth_and_width_of_a_scaled_asvit():
    space = get_space("asvit")
    grown = {"stage2.depth": 3, "width": 40, "position_embedding": True}
    largest = space.largest(image_size=32).replace(choices=grown)
    supernet = Supernet(largest).eval()
    images = torch.randn(2, 3, 32, 32)
    small = largest.replace(choices={"stage2.depth": 2, "width": 24, "heads": 16})
    torch.testing.assert_close(supernet(images, small), supernet.extract(small)(images), rtol=1e-5, atol=1e-5)
    with pytest.raises(NasError, match="does not hold"):
        supernet(images, largest.replace(choices={"stage2.depth": 4}))
    with pytest.raises(NasError, match="the super-network holds"):
        supernet(images, largest.replace(choices={"width": 48}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_size": 64}, "image_size=32"),
        ({"num_classes": 7}, "num_classes=10"),
        ({"in_channels": 2}, "in_channels=1"),
    ],
)
def test_other_data_is_told(change, words):
    space = get_space("vit_resnas_digits")
    largest = space.largest(image_size=32, in_channels=1, num_classes=10)
    supernet = Supernet(largest)
    with pytest.raises(NasError, match=words):
        supernet.skeleton(largest.replace(**change))
    with pytest.raises(NasError, match="space='vit_resnas_digits'"):
        supernet.skeleton(get_space("asvit").smallest(image_size=32, in_channels=1, num_classes=10))
