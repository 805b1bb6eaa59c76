"""The data set a user names, cut into training, validation and test."""

from __future__ import annotations

from evaluators.training.recipe import DIGITS, Recipe, recipe_for
from evaluators.training.splits import DataSplits
from searchspaces import NasError


def load_data(name: str, data_dir: str | None = None, recipe: Recipe | None = None) -> DataSplits:
    """Return the splits of a data set.

    >>> splits = load_data("digits")
    >>> splits.num_classes, splits.in_channels, splits.image_size, len(splits.test)
    (10, 1, 32, 360)

    Args:
        name: ``digits``; ``torch/cifar10`` and the like; or any word for a folder of pictures in `data_dir`.
        data_dir: where the files are; not for digits, which come with scikit-learn.
        recipe: read for the seed of the cut, the image size and the augmentation; None: the default of the data set.

    Raises:
        NasError: an unknown name (close names are listed) or data that is missing.
    """
    recipe = recipe if recipe is not None else recipe_for(name)
    if name == DIGITS:
        if data_dir is not None:
            raise NasError(f"data='digits' comes with scikit-learn and takes no data_dir; got {str(data_dir)!r}")
        from evaluators.training.digits import load_digits

        return load_digits(recipe)
    from evaluators.training.images import load_images

    return load_images(name, data_dir, recipe)
