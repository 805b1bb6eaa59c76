"""What is left of the logarithm of a time after the roofline: a Gaussian process that fades to 0 far from the data.

Networks of one family share what their features do not show (how their authors wrote them). That is an effect of its
own in the covariance, so that the smooth part learns what holds across families, and a network of an unknown family
gets the smooth part alone, with the spread of families in its uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.fitted.features import INDEX, SHAPES, TRAFFIC, WORK, Vector

INPUTS = (
    "log_intensity",
    "log_traffic",
    "log_launches",
    *SHAPES,
    *(f"share_{name}" for name in WORK),
    *(f"share_{name}" for name in TRAFFIC),
)
_PRODUCTS = [INDEX[name] for name in ("matmul", "convolution")]
_ATTENTION = [INDEX[name] for name in ("fused", "unfused")]
_SHAPES = slice(INDEX[SHAPES[0]], INDEX[SHAPES[-1]] + 1)
_TYPICAL = np.log(np.array([32.0, 128.0]))  # head and keys of networks without attention


def residual_inputs(columns: Vector) -> Vector:
    """Return what the residual looks at, shape (..., len(INPUTS)): intensity, size, mean shapes, shares.

    None of it is a time, so a predictor of one device can be moved to another.
    """
    work, traffic = columns[..., : len(WORK)], columns[..., len(WORK) : len(WORK) + len(TRAFFIC)]
    total, moved = work.sum(-1, keepdims=True) + 1e-9, traffic.sum(-1, keepdims=True) + 1e-9
    shapes = columns[..., _SHAPES]
    products = columns[..., _PRODUCTS].sum(-1, keepdims=True) + 1e-9
    attention = columns[..., _ATTENTION].sum(-1, keepdims=True)
    heads = np.where(attention > 0, shapes[..., 3:] / np.maximum(attention, 1e-9), _TYPICAL)
    launches = columns[..., [INDEX["launches"]]]
    sizes = [np.log(total / moved), np.log(moved), np.log(np.maximum(launches, 1))]
    shares = [np.sqrt(work / total), np.sqrt(traffic / moved)]
    return np.concatenate([*sizes, shapes[..., :3] / products, heads, *shares], axis=-1)


@dataclass(frozen=True)
class Residual:
    """A Gaussian process with one length per input, conditioned on the residuals of measured networks.

    Args:
        mean, scale: of the inputs, shape (len(INPUTS),); they are standardised by these.
        length: of the kernel for each standardised input.
        variance, family, noise: of the process, of the effect of a family, and of one observation, in squared
            logarithms.
        anchors: standardised inputs of the measured networks, shape (networks, len(INPUTS)).
        values: their residuals, log(measured / roofline), shape (networks,).
        groups: their families.
        reach: how much of the smooth part holds for a network of an unknown family, 0 to 1.
    """

    mean: Vector
    scale: Vector
    length: Vector
    variance: float
    family: float
    noise: float
    anchors: Vector
    values: Vector
    groups: tuple[str, ...]
    reach: float = 1.0

    @cached_property
    def precision(self) -> Vector:
        """Inverse covariance of the anchors' values, shape (networks, networks)."""
        covariance = self._covariance(self.anchors, self.groups) + self.noise * np.eye(len(self.anchors))
        return np.asarray(np.linalg.inv(covariance))

    @cached_property
    def _names(self) -> NDArray[np.object_]:
        return np.array(self.groups, object)

    @cached_property
    def _weights(self) -> Vector:
        return np.asarray(self.precision @ self.values)

    @cached_property
    def _scaled(self) -> tuple[Vector, Vector]:
        scaled = self.anchors / self.length
        return scaled.T.copy(), (scaled**2).sum(axis=1)

    def _covariance(self, points: Vector, groups: Sequence[str | None] | None) -> Vector:
        """Return the covariance of standardised points with the anchors, shape (points, networks)."""
        scaled = points / self.length
        anchors, squares = self._scaled
        apart = (scaled**2).sum(axis=1)[:, None] + squares - 2 * scaled @ anchors
        covariance = self.variance * np.exp(-0.5 * np.maximum(apart, 0))
        if groups is not None:
            covariance += self.family * (np.array(groups, object)[:, None] == self._names)
        return np.asarray(covariance)

    def predict(self, inputs: Vector, groups: Sequence[str | None] | None = None) -> tuple[Vector, Vector]:
        """Return mean and standard deviation of log(time / roofline), each of shape (points,).

        Args:
            inputs: what `residual_inputs` gives, shape (points, len(INPUTS)).
            groups: families of the networks; None where unknown.
        """
        covariance = self._covariance((inputs - self.mean) / self.scale, groups)
        explained = ((covariance @ self.precision) * covariance).sum(axis=1)
        spread = np.sqrt(np.maximum(self.variance + self.family - explained, 0) + self.noise)
        reach = self.reach if groups is None else np.where([g in self.groups for g in groups], 1.0, self.reach)
        return reach * (covariance @ self._weights), spread

    def without_own_family(self) -> Vector:
        """Return the smooth part at each anchor, from the anchors of all other families, shape (networks,).

        A block of the inverse gives it without another fit (Rasmussen and Williams, section 5.4.2).
        """
        found = np.empty_like(self.values)
        names = self._names
        for name in sorted(set(self.groups)):
            own = np.flatnonzero(names == name)
            found[own] = self.values[own] - np.linalg.solve(self.precision[np.ix_(own, own)], self._weights[own])
        return found

    def left_out(self) -> Vector:
        """Return what is left of each value after its prediction from all others, shape (networks,)."""
        return np.asarray(self._weights / np.diag(self.precision))

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON, to five digits."""
        return {
            "inputs": list(INPUTS),
            "reach": float(f"{self.reach:.5g}"),
            "mean": _plain(self.mean),
            "scale": _plain(self.scale),
            "length": _plain(self.length),
            "variance": float(f"{self.variance:.5g}"),
            "family": float(f"{self.family:.5g}"),
            "noise": float(f"{self.noise:.5g}"),
            "anchors": [_plain(row) for row in self.anchors],
            "values": _plain(self.values),
            "groups": list(self.groups),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Residual:
        """Return the process that `as_dict` wrote.

        Raises:
            ValueError, KeyError, TypeError: if it is none, or of other inputs than this version's.
        """
        if tuple(document["inputs"]) != INPUTS:
            raise ValueError("its residual looks at other inputs than this version of nas knows")
        groups = tuple(map(str, document["groups"]))
        anchors, values = np.array(document["anchors"], float), np.array(document["values"], float)
        if anchors.shape != (len(groups), len(INPUTS)) or values.shape != (len(groups),):
            raise ValueError("its anchors do not fit its values")
        return cls(
            mean=np.array(document["mean"], float),
            scale=np.array(document["scale"], float),
            length=np.array(document["length"], float),
            variance=float(document["variance"]),
            family=float(document["family"]),
            noise=float(document["noise"]),
            anchors=anchors,
            values=values,
            groups=groups,
            reach=float(document["reach"]),
        )


def _plain(values: Sequence[float] | Vector) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
