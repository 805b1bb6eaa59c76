"""REINFORCE against the update written out in numpy."""

import numpy as np
import pytest
import torch

from evaluators import Measurement
from nas.expressions import Objective
from nas.problem import Problem
from nas.strategies import make_strategy
from nas.strategies.reinforce import Reward
from nas.trial import Trial
from searchspaces import get_space


def test_reward_is_the_change_over_the_range_of_the_buffer():
    reward, values = Reward("difference", 4), [1.0, 3.0, 2.0, 7.0, 5.0, 5.5]
    for t, value in enumerate(values):
        window = values[max(0, t - 3) : t + 1]
        expected = 0.0 if t == 0 else (value - values[t - 1]) / (max(window) - min(window) + 1e-6)
        assert reward(value) == pytest.approx(expected)


def test_other_rewards():
    rank = Reward("rank", 3)
    assert [rank(v) for v in (5.0, 7.0, 6.0, 1.0)] == [0.0, 1.0, 0.5, 0.0]
    raw = Reward("raw", 3)
    assert [raw(v) for v in (5.0, 7.0)] == [5.0, 7.0]


def test_steps_equal_adam_written_out():
    """The defaults: Adam with 0.08, a bias-corrected baseline updated before it is subtracted, one sample a step."""
    space = get_space("asvit")
    objectives = [Objective("ntk", "minimize"), Objective("length", "maximize")]
    problem = Problem(space, {"image_size": 64, "in_channels": 3, "num_classes": 10}, objectives)
    strategy = make_strategy("reinforce", problem, {}, 8)
    names = [dimension.name for dimension in space.searched]
    logits = {name: strategy._logits[name].detach().numpy().copy() for name in names}
    assert all(np.abs(values).max() < 0.01 for values in logits.values())
    first = {name: np.zeros_like(v) for name, v in logits.items()}
    second = {name: np.zeros_like(v) for name, v in logits.items()}
    rng, history, average = np.random.default_rng(0), [], 0.0
    for step in range(1, 31):
        (architecture,) = strategy.ask(1)
        values = {"ntk": rng.random() + 1, "length": rng.random()}
        history.append((-values["ntk"], values["length"]))
        trial = Trial(step - 1, "search", architecture, {k: Measurement(v, None, (v,)) for k, v in values.items()})
        strategy.tell([trial])
        reward = 0.0
        if step > 1:
            for column in (0, 1):
                window = [h[column] for h in history[-20:]]
                reward += (window[-1] - window[-2]) / (max(window) - min(window) + 1e-6)
        average = 0.9 * average + 0.1 * reward
        advantage = reward - average / (1 - 0.9**step)
        for dimension in space.searched:
            name = dimension.name
            odds = np.exp(logits[name] - logits[name].max())
            gradient = advantage * odds / odds.sum()
            gradient[list(dimension.choices).index(architecture.choices[name])] -= advantage
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            rate = 0.08 / (1 - 0.9**step)
            logits[name] = logits[name] - rate * first[name] / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
            np.testing.assert_allclose(strategy._logits[name].detach().numpy(), logits[name], rtol=1e-9, atol=1e-12)
    expected = {d.name: d.choices[int(logits[d.name].argmax())] for d in space.searched}
    assert dict(strategy.proposal().choices) == expected


def test_the_global_random_state_is_left_alone():
    problem = Problem(get_space("toy"), {"image_size": 8}, [Objective("x", "maximize")])
    before = torch.random.get_rng_state()
    make_strategy("reinforce", problem, {}, 0).ask(3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_winner_best_leaves_the_choice_to_the_study():
    problem = Problem(get_space("toy"), {"image_size": 8}, [Objective("x", "maximize")])
    assert make_strategy("reinforce", problem, {"winner": "best"}, 0).proposal() is None
    assert make_strategy("reinforce", problem, {}, 0).proposal() is not None
