"""What every strategy must do; a new strategy joins by its name."""

import pytest

from evaluators import Measurement
from nas.expressions import Objective, parse_constraint
from nas.problem import Problem
from nas.strategies import make_strategy
from nas.trial import Trial
from searchspaces import NasError, get_space

STRATEGIES = [
    "random",
    "evolution",
    "reinforce",
    "optuna:tpe",
    "optuna:nsga2",
    "optuna:gp",
    "optuna:cmaes",
    "optuna:random",
]
SMALL = {"evolution": {"population": 16, "children": 8, "parents": 4}}


def width(name, architecture):
    return float(architecture.choices.get("width", 1))


def problem(space="toy", constraint=None, objectives=1):
    both = [Objective("score", "maximize"), Objective("cost", "minimize")]
    return Problem(
        space=get_space(space),
        sizes={"image_size": 32, "in_channels": 1, "num_classes": 3},
        objectives=both[:objectives],
        constraints=[] if constraint is None else [constraint],
        static_metrics=frozenset({"params"}),
        static_value=width,
        max_tries=300,
    )


def run(strategy, the_problem, trials=40, failing=0):
    """Play the study loop with a score that prefers wide and biased networks."""
    trials = min(trials, 14) if "Gaussian" in type(strategy).__name__ and trials <= 40 else trials
    told = []
    while len(told) < trials:
        batch = strategy.ask(min(strategy.batch, trials - len(told)))
        if not batch:
            break
        found = []
        for architecture in batch:
            number = len(told) + len(found)
            score = sum(hash_free(value) for value in architecture.choices.values())
            bad = failing and number % failing == 0
            measured = {
                "score": Measurement(None, "on purpose") if bad else Measurement(score, None, (score,)),
                "cost": Measurement(float(len(architecture.choices)), None),
                "params": Measurement(width("params", architecture), None),
            }
            found.append(Trial(number, "search", architecture, measured))
        strategy.tell(found)
        told += found
    return told


def hash_free(value):
    return float(value) if isinstance(value, int) else float(len(str(value)))


def make(name, the_problem, seed=0):
    return make_strategy(name, the_problem, SMALL.get(name, {}), seed)


@pytest.mark.parametrize("name", STRATEGIES)
def test_same_seed_same_trials(name):
    first, second = (run(make(name, problem()), problem()) for _ in range(2))
    assert [t.architecture for t in first] == [t.architecture for t in second]
    other = run(make(name, problem(), seed=1), problem())
    assert [t.architecture for t in first] != [t.architecture for t in other]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_network_is_legal_and_has_the_sizes(name):
    the_problem = problem()
    for trial in run(make(name, the_problem), the_problem):
        architecture = trial.architecture
        assert architecture == the_problem.space.architecture(architecture.choices, **the_problem.sizes)


@pytest.mark.parametrize("name", STRATEGIES)
def test_static_constraints_hold_before_anything_is_evaluated(name):
    the_problem = problem(constraint=parse_constraint("params<=8"))
    told = run(make(name, the_problem), the_problem, trials=24)
    assert len(told) >= 14
    assert all(trial.architecture.choices["width"] <= 8 for trial in told)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_constraint_nobody_can_meet_ends_with_the_closest_value(name):
    the_problem = problem(constraint=parse_constraint("params<=3"))
    with pytest.raises(NasError, match=r"params<=3.* was met by none of 300 networks .* the closest had params=4"):
        run(make(name, the_problem), the_problem)


@pytest.mark.parametrize("name", STRATEGIES)
def test_failed_trials_are_survived(name):
    the_problem = problem()
    assert len(run(make(name, the_problem), the_problem, trials=14, failing=3)) == 14
    run(make(name, the_problem), the_problem, trials=8, failing=1)


@pytest.mark.parametrize("name", [s for s in STRATEGIES if s not in ("optuna:cmaes", "optuna:gp")])
def test_several_objectives(name):
    the_problem = problem(objectives=2)
    told = run(make(name, the_problem), the_problem, trials=24)
    assert the_problem.front(told)


@pytest.mark.parametrize("name", ["evolution", "optuna:tpe", "optuna:cmaes", "optuna:nsga2", "reinforce"])
def test_learning_beats_chance_on_asvit(name):
    """The mean score of the last trials is above that of the first."""
    the_problem = problem("asvit")
    trials = 200 if name == "reinforce" else 120
    scores = [t.value("score") for t in run(make(name, the_problem), the_problem, trials=trials)]
    least = 0 if name == "optuna:nsga2" else 2  # the generations of NSGA-II hold 50
    assert sum(scores[-20:]) / 20 > sum(scores[:20]) / 20 + least


def test_unknown_options_are_named():
    with pytest.raises(NasError, match="unknown key of evolution 'size'"):
        make_strategy("evolution", problem(), {"size": 3}, 0)
    with pytest.raises(NasError, match="is not taken by TPESampler"):
        make_strategy("optuna:tpe", problem(), {"sampler": {"nonsense": 3}}, 0)
    with pytest.raises(NasError, match="takes one objective"):
        make_strategy("optuna:cmaes", problem(objectives=2), {}, 0)


def test_random_and_evolution_never_repeat_and_end_with_the_space():
    the_problem = problem()
    for name in ("random", "evolution"):
        told = run(make(name, the_problem), the_problem, trials=500)
        assert len({t.architecture for t in told}) == len(told) == the_problem.space.size()


def test_evolution_finds_the_optimum_of_the_toy_space():
    the_problem = problem()
    told = run(make("evolution", the_problem), the_problem, trials=80)
    best = max(sum(hash_free(v) for v in a.choices.values()) for a in the_problem.space.enumerate())
    assert the_problem.best(told).value("score") == best


def test_evolution_by_tournament_prefers_good_parents():
    the_problem = problem("asvit")
    strategy = make_strategy("evolution", the_problem, {"selection": "tournament", "population": 40, "children": 20}, 0)
    scores = [t.value("score") for t in run(strategy, the_problem, trials=160)]
    assert sum(scores[-40:]) > sum(scores[:40])
