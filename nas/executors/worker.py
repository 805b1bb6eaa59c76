"""What the fork server imports before it forks workers: everything slow."""

import timm.layers  # noqa: F401
import torch  # noqa: F401

import evaluators  # noqa: F401
import searchspaces.asvit.model  # noqa: F401
