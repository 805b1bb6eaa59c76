"""Data sets: fixed and disjoint splits, folders through timm, and mistakes told in a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.training import load_data, recipe_for
from evaluators.training.digits import random_affine, warp
from evaluators.training.splits import epoch_order, stratified_cut
from searchspaces import NasError

CLASSES = ("ant", "bee", "cat")
SPLITS = ("train", "validation", "test")


def rows(split):
    return [image.numpy().tobytes() for batch, _ in split.eval_batches(64) for image in batch]


def labels(split):
    return torch.cat([batch for _, batch in split.eval_batches(64)])


def make_folder(root, per_class=10, classes=CLASSES, side=40):
    """Write pictures of one colour per class, each with its own noise."""
    rng = np.random.default_rng(len(str(root)) + per_class)
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            pixels = rng.integers(0, 60, (side, side + 6, 3), dtype=np.uint8)
            pixels[..., number % 3] += 150
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def test_digits_are_cut_70_10_20_by_class_without_overlap():
    data = load_data("digits")
    assert (len(data.train), len(data.validation), len(data.test)) == (1257, 180, 360)
    assert (data.num_classes, data.in_channels, data.image_size) == (10, 1, 32)
    images = [set(rows(getattr(data, name))) for name in SPLITS]
    assert len(set.union(*images)) == sum(len(part) for part in images) == 1797
    for name in SPLITS:
        counts = torch.bincount(labels(getattr(data, name)), minlength=10)
        assert counts.max() - counts.min() <= 0.1 * counts.sum() / 10 + 2


def test_the_cut_depends_on_its_own_seed_only():
    first = rows(load_data("digits").test)
    assert rows(load_data("digits", recipe=recipe_for("digits", {"seed": 5})).test) == first
    assert rows(load_data("digits", recipe=recipe_for("digits", {"split_seed": 5})).test) != first


def test_digits_are_normalised_over_the_training_images():
    pixels = torch.cat([batch for batch, _ in load_data("digits").train.eval_batches(64)])
    assert abs(pixels.mean()) < 1e-4
    assert abs(pixels.std() - 1) < 1e-3


def test_training_batches_repeat_for_the_same_seed_and_epoch_only():
    split = load_data("digits").train

    def epoch(seed, number):
        return [image.numpy().tobytes() for image, _ in split.train_batches(64, seed, number)]

    assert epoch(0, 0) == epoch(0, 0)
    assert epoch(0, 0) != epoch(0, 1)
    assert epoch(0, 0) != epoch(1, 0)
    assert len(epoch(0, 0)) == 1257 // 64


def test_no_augmentation_leaves_the_images_as_they_are():
    recipe = recipe_for("digits", {"shift": 0.0, "rotation": 0.0, "zoom": 0.0})
    images = torch.randn(4, 1, 32, 32)
    theta = random_affine(4, np.random.default_rng(0), recipe)
    torch.testing.assert_close(warp(images, theta), images, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("size", "batch"), [(10, 4), (10, 7), (3, 64), (64, 64), (2, 2)])
def test_an_epoch_has_full_even_batches_of_distinct_images(size, batch):
    order = epoch_order(size, batch, 0, 0)
    assert order
    assert len({len(indices) for indices in order}) == 1
    assert len(order[0]) % 2 == 0
    flat = np.concatenate(order)
    assert len(set(flat.tolist())) == len(flat) > size - max(batch, 2)


def test_a_cut_needs_some_images_of_each_class():
    with pytest.raises(NasError, match="cannot be cut"):
        stratified_cut(np.array([0, 0, 0, 1]), 0.25, 0)


def test_a_folder_with_classes_only_is_cut_in_three(tmp_path):
    data = load_data("pets", str(make_folder(tmp_path / "pets")))
    assert data.classes == CLASSES
    assert (data.in_channels, data.image_size) == (3, 46)
    images = [set(rows(getattr(data, name))) for name in SPLITS]
    assert [len(part) for part in images] == [21, 3, 6]
    assert len(set.union(*images)) == 30


def test_a_folder_with_splits_keeps_them(tmp_path):
    for name, count in (("train", 20), ("val", 4), ("test", 3)):
        make_folder(tmp_path / name, count)
    data = load_data("folder", str(tmp_path))
    assert [len(getattr(data, name)) for name in SPLITS] == [60, 12, 9]


def test_without_a_test_split_validation_is_the_test(tmp_path):
    make_folder(tmp_path / "train", 20)
    make_folder(tmp_path / "val", 4)
    data = load_data("folder", str(tmp_path))
    assert [len(getattr(data, name)) for name in SPLITS] == [54, 6, 12]


def test_labels_follow_the_training_classes_where_a_split_lacks_one(tmp_path):
    make_folder(tmp_path / "train", 20)
    make_folder(tmp_path / "val", 4, classes=("bee", "cat"))
    assert set(labels(load_data("folder", str(tmp_path)).test).tolist()) == {1, 2}


def test_a_class_unknown_to_training_is_an_error(tmp_path):
    make_folder(tmp_path / "train", 20)
    make_folder(tmp_path / "val", 4, classes=("bee", "dog"))
    with pytest.raises(NasError, match="'dog'"):
        load_data("folder", str(tmp_path))


def test_pictures_are_augmented_alike_for_any_number_of_workers(tmp_path):
    root = str(make_folder(tmp_path / "pets"))

    def epoch(workers):
        data = load_data("pets", root, recipe_for("pets", {"workers": workers}))
        return [(image.numpy().tobytes(), label.tolist()) for image, label in data.train.train_batches(8, 0, 3)]

    assert epoch(0) == epoch(2)


def test_torchvision_files_are_opened_and_grey_pictures_have_one_channel(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 200), ("t10k", 20)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        digits = np.arange(count, dtype=np.uint8) % 10
        images, targets = raw / f"{prefix}-images-idx3-ubyte", raw / f"{prefix}-labels-idx1-ubyte"
        images.write_bytes(np.array([0x803, count, 28, 28], dtype=">i4").tobytes() + pixels.tobytes())
        targets.write_bytes(np.array([0x801, count], dtype=">i4").tobytes() + digits.tobytes())
    data = load_data("torch/mnist", str(tmp_path))
    assert (data.num_classes, data.in_channels, data.image_size) == (10, 1, 32)
    assert [len(getattr(data, name)) for name in SPLITS] == [180, 20, 20]
    images, targets = next(iter(data.train.train_batches(16, 0, 0)))
    assert images.shape == (16, 1, 32, 32)
    assert targets.shape == (16,)


@pytest.mark.parametrize(
    ("name", "data_dir", "words"),
    [
        ("digit", None, "did you mean 'digits'"),
        ("torch/cifar", ".", "did you mean 'torch/cifar10'"),
        ("torch/cifar10", None, "needs data_dir"),
        ("folder", None, "needs data_dir"),
        ("folder", "no/such/place", "is not a folder"),
        ("torch/cifar10", ".", "cannot be opened"),
        ("digits", ".", "takes no data_dir"),
        ("tfds/mnist", None, "streamed"),
        ("zoo/mnist", None, "unknown data set"),
    ],
)
def test_data_that_is_not_there_is_told_in_a_sentence(name, data_dir, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NasError, match=words):
        load_data(name, data_dir)


def test_an_empty_folder_and_a_single_class_are_errors(tmp_path):
    with pytest.raises(NasError, match="Found 0 images"):
        load_data("folder", str(tmp_path))
    make_folder(tmp_path / "pets", classes=("ant",))
    with pytest.raises(NasError, match="one subfolder per class"):
        load_data("folder", str(tmp_path / "pets"))


def test_an_unknown_augmentation_policy_is_an_error(tmp_path):
    root = str(make_folder(tmp_path / "pets"))
    with pytest.raises(NasError, match="auto_augment='sparkle'"):
        load_data("pets", root, recipe_for("pets", {"auto_augment": "sparkle"}))
