"""The checkpoint of an unfinished super-network: safetensors and JSON, at any step."""

from __future__ import annotations

from pathlib import Path

from evaluators.supernet.session import Session
from evaluators.training.checkpoint import load_checkpoint, save_checkpoint
from evaluators.training.learner import restore, tensors_of
from searchspaces import NasError


def save_session(out_dir: Path, session: Session, seconds: float) -> None:
    """Replace the checkpoint: weights, statistics, optimizer, weight average, and the place in the run.

    Generators are derived from that place, so there is no random state to keep.

    Raises:
        NasError: if it cannot be written; the checkpoint before stays.
    """
    tensors, plain = tensors_of(session.learner)
    place = {"step": session.step, "loss": float(session.loss), "seconds": seconds}
    save_checkpoint(out_dir, tensors, {**plain, **place})


def resume_session(out_dir: Path, session: Session) -> float:
    """Put the session where its checkpoint is; return the seconds spent until then, 0 without a checkpoint.

    Raises:
        NasError: if the checkpoint cannot be read or does not fit.
    """
    found = load_checkpoint(out_dir)
    if found is None:
        return 0.0
    tensors, plain = found
    try:
        restore(session.learner, tensors, plain)
        session.step = int(plain["step"])
        session.loss.fill_(float(plain["loss"]))
        return float(plain["seconds"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise NasError(f"{out_dir}: its checkpoint does not fit the run: {reason}; remove it to begin again") from error
