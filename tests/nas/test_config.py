"""The resolved configuration: precedence, strictness, the file it is kept in."""

import pytest
import yaml

from nas.config import SearchConfig, differing_key, read_yaml, resolve, write_config
from nas.overrides import parse_overrides
from searchspaces import NasError


def test_preset_then_file_then_flags(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("trials: 20\nseed: 3\nmetrics: {length: {points: 5}}\n")
    config = resolve({"seed": 4, "metrics": {"length": {"repeats": 1}}}, file)
    assert (config.trials, config.seed, config.strategy) == (20, 4, "evolution")
    assert config.metrics["length"] == {"repeats": 1, "image_size": 64, "points": 5}
    assert config.make_metric("length").settings.seed == 4


def test_paper_preset_has_the_papers_settings():
    config = resolve({"preset": "paper"})
    assert (config.strategy, config.trials, config.image_size) == ("reinforce", 500, 224)
    assert [str(o) for o in config.objectives] == ["maximize length", "minimize ntk"]
    length = config.make_metric("length").settings
    assert (length.repeats, length.points, length.width, length.image_size) == (5, 10, None, None)
    assert config.scale_to == "params<=110e6"
    assert config.scaling_settings.stop_at == "params>=80e6"
    assert config.scaling_settings.proxy_width == 8


def test_objectives_replace_those_of_the_preset():
    config = resolve({"minimize": ["macs"], "no_scale": True})
    assert [str(o) for o in config.objectives] == ["minimize macs"]


def test_a_budget_alone_leaves_the_number_of_trials_open():
    assert resolve({"budget": "10m"}).trials is None
    assert resolve({"budget": "10m", "trials": 5}).trials == 5


def test_goes_through_its_file(tmp_path):
    config = resolve({"constraint": ["macs<=1G"], "seed": 9})
    write_config(config, tmp_path / "config.yaml")
    again = SearchConfig.model_validate(read_yaml(tmp_path / "config.yaml"))
    assert again == config
    assert set(yaml.safe_load((tmp_path / "config.yaml").read_text())["versions"]) >= {"nas", "torch", "python"}


def test_workers_do_not_make_another_run():
    a, b = resolve({"workers": 1}), resolve({"workers": 2, "out": "x"})
    assert differing_key(a, b) is None
    assert differing_key(a, resolve({"seed": 1})) == "seed"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"space": "asvitt"}, "unknown space 'asvitt'; did you mean 'asvit'"),
        ({"strategy": "evolutoin"}, "unknown strategy 'evolutoin'; did you mean 'evolution'"),
        ({"strategy": "optuna:tpee"}, "did you mean 'optuna:tpe'"),
        ({"preset": "papper"}, "unknown preset 'papper'; did you mean 'paper'"),
        ({"executor": "rey"}, "unknown executor 'rey'"),
        ({"maximize": ["lenght"]}, "unknown metric 'lenght'; did you mean 'length'"),
        ({"maximize": ["length", "length"]}, "an objective twice"),
        ({"constraint": ["params<=x"]}, "is not a number"),
        ({"trials": 0}, "trials=0 cannot be taken"),
        ({"trials": -5}, "trials=-5 cannot be taken"),
        ({"seed": -1}, "seed=-1 cannot be taken"),
        ({"workers": -1}, "workers=-1 cannot be taken"),
        ({"image_size": -224}, "image_size=-224 cannot be taken"),
        ({"image_size": 8}, "image_size=8 cannot be taken by asvit; give an integer from 32 to 4096"),
        ({"budget": "soon"}, "budget='soon' is not a duration"),
        ({"trails": 5}, "unknown key 'trails'; did you mean 'trials'"),
        ({"metrics": {"length": {"point": 3}}}, "unknown key of length 'point'; did you mean 'points'"),
        ({"metrics": {"length": {"points": float("nan")}}}, "length.points=nan cannot be taken"),
        ({"metrics": {"lengthh": {}}}, "unknown metric 'lengthh'"),
        (
            {"strategy_options": {"populaton": 3}},
            "unknown key of strategy_options 'populaton'; did you mean 'population'",
        ),
        ({"scaling": {"proxi_width": 3}}, "unknown key of scaling 'proxi_width'; did you mean 'proxy_width'"),
        ({"scale_to": "params>=3e6"}, "must be an upper bound on params or macs"),
        ({"scale_to": "30e6"}, "is not of the form METRIC<=NUMBER"),
        ({"scaling": {"stop_at": "params<=3e6"}}, "must be a lower bound"),
        (
            {"space": "toy", "image_size": 8, "maximize": ["params"], "scale_to": "params<=3e6"},
            "no width and depth to scale",
        ),
        ({"space": "toy", "preset": "paper"}, "unknown preset of toy 'paper'"),
    ],
)
def test_mistakes_are_named(flags, message):
    with pytest.raises(NasError, match=message):
        resolve(flags)


@pytest.mark.parametrize(
    ("text", "message"),
    [("trails: 5", "did you mean 'trials'"), ("[1, 2]", "is a mapping of keys"), ("a: [", "not a YAML document")],
)
def test_mistakes_in_the_file(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(NasError, match=message):
        resolve({}, tmp_path / "c.yaml")
    with pytest.raises(NasError, match="cannot be read"):
        resolve({}, tmp_path / "none.yaml")


def test_overrides():
    assert parse_overrides(["a.b=1", "a.c=x", "d=[1, 2]"]) == {"a": {"b": 1, "c": "x"}, "d": [1, 2]}
    assert parse_overrides(["a=1e-5", "b=2E3", 'c=""']) == {"a": 1e-5, "b": 2e3, "c": ""}  # YAML alone: texts
    for text, message in (("a", "KEY=VALUE"), ("=3", "KEY=VALUE"), ("a.=3", "KEY=VALUE"), ("a=[", "cannot be read")):
        with pytest.raises(NasError, match=message):
            parse_overrides([text])
    with pytest.raises(NasError, match="given a value elsewhere"):
        parse_overrides(["a=1", "a.b=2"])
