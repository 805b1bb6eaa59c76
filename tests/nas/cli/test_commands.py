"""The commands as a person types them: results, exit status, one sentence for every mistake."""

import json
import subprocess
import sys
import time

import pytest

from searchspaces import Architecture

SMALL = "--trials 6 --set strategy_options.population=4 --image-size 32 --set metrics.length.repeats=1"
SMALL += " --set metrics.ntk.repeats=1 --scale-to params<=3e6 --executor inline"


def test_help_is_quick():
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        out = subprocess.run([sys.executable, "-m", "nas", "--help"], capture_output=True, text=True, check=True)
        seconds.append(time.monotonic() - start)
    assert "search" in out.stdout
    assert min(seconds) < 2.0  # a wide bound for busy machines; the README says how to measure it


def test_spaces(nas):
    status, out, _ = nas("spaces --json")
    assert (status, {row["name"]: row["size"] for row in json.loads(out)}["asvit"]) == (0, 4_556_250)
    status, out, _ = nas("spaces asvit --json")
    described = json.loads(out)
    assert described["size"] == 4_556_250
    assert described["dimensions"][0]["choices"] == [4, 5, 6, 7, 8]
    status, out, _ = nas("spaces toy --json")
    assert json.loads(out)["dimensions"][2]["active_when"] == "layer2.present in [True]"
    for line in ("spaces", "spaces asvit", "metrics", "strategies"):
        status, out, _ = nas(line)
        assert status == 0
        assert "length" in out or "asvit" in out or "evolution" in out


def test_metrics_and_strategies_state_their_defaults(nas):
    assert json.loads(nas("metrics --json")[1])["length"]["settings"]["points"]["default"] == 10
    assert json.loads(nas("strategies --json")[1])["reinforce"]["settings"]["learning_rate"]["default"] == 0.08


def test_sample_describe_and_score(nas, tmp_path):
    status, out, _ = nas("sample --space asvit -n 3 --seed 1 --out some --image-size 32 --json")
    files = json.loads(out)["files"]
    assert status == 0
    assert len({Architecture.read(file) for file in files}) == 3
    again = json.loads(nas("sample --space asvit -n 3 --seed 1 --out other --image-size 32 --json")[1])["files"]
    assert [Architecture.read(f) for f in files] == [Architecture.read(f) for f in again]
    status, out, _ = nas("describe --json", files[0])
    described = json.loads(out)
    assert described["space"] == "asvit"
    assert described["output_shape"] == [1000]
    assert [stage["tokens"] for stage in described["stages"]] == [64, 16, 4, 1]
    status, out, _ = nas("describe", files[0])
    assert status == 0
    assert "heads" in out
    line = "score --metric length --metric params --seed 0 --set length.repeats=2 --json"
    status, out, _ = nas(line, *files)
    rows = [json.loads(row) for row in out.splitlines()]
    assert status == 0
    assert [row["file"] for row in rows] == files
    for row in rows:
        length = row["metrics"]["length"]
        assert len(length["repeats"]) == 2
        assert length["value"] == pytest.approx(sum(length["repeats"]) / 2)
        assert length["spread"] > 0
        assert length["failure"] is None
    assert nas(line, *files)[1].replace(" ", "")[:40] == out.replace(" ", "")[:40]
    repeated = [json.loads(row)["metrics"]["length"]["value"] for row in nas(line, *files)[1].splitlines()]
    assert repeated == [row["metrics"]["length"]["value"] for row in rows]


def test_published_names_and_genotypes_are_networks_too(nas):
    assert json.loads(nas("describe asvit_small --json")[1])["params"] == 28_775_328
    assert json.loads(nas("describe --json", "8,2,3|4,1,2|4,1,4|4,1,6|32")[1])["params"] == 2_319_624


def test_a_failed_metric_is_told_by_the_exit_status(nas):
    status, out, _ = nas("score asvit_seed --metric length --set length.image_size=8 --json")
    found = json.loads(out)["metrics"]["length"]
    assert status == 1
    assert found["value"] is None
    assert "image_size=8 cannot be taken by asvit" in found["failure"]


def test_search_report_and_resume(nas, tmp_path):
    status, out, err = nas(f"search --space asvit --out run {SMALL}")
    assert status == 0
    assert "plan     asvit, 4,556,250 networks" in err
    assert "winner   run/best.json" in out
    assert (tmp_path / "run" / "report.html").is_file()
    assert list((tmp_path / "run" / "plots").glob("*.png"))
    best = Architecture.read(tmp_path / "run" / "best.json")
    assert "width" in best.choices
    before = (tmp_path / "run" / "trials.journal").read_bytes()
    status, out, _ = nas("resume run --json")
    found = json.loads(out)
    assert status == 0
    assert found["trials"] == 6
    assert found["winner"]["architecture"]["choices"] == dict(best.choices)
    assert (tmp_path / "run" / "trials.journal").read_bytes() == before
    status, out, _ = nas("report run --json")
    assert status == 0
    assert json.loads(out)["report"].endswith("report.html")


def test_a_yaml_file_has_the_same_keys(nas, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "maximize: [params]\nno_scale: true\ntrials: 5\nimage_size: 32\nexecutor: inline\nstrategy: random\n"
    )
    status, out, _ = nas("search --config c.yaml --out run --json")
    assert status == 0
    assert json.loads(out)["trials"] == 5
    assert json.loads(out)["family"] == []


def test_two_objectives_leave_a_front(nas, tmp_path):
    line = "search --maximize params --minimize macs --no-scale --trials 20 --image-size 32 --executor inline --json"
    status, out, _ = nas(line + " --out run")
    assert status == 0
    front = json.loads(out)["front"]
    assert len(front) == len(list((tmp_path / "run" / "pareto").iterdir())) > 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("search --space asvitt", "unknown space 'asvitt'; did you mean 'asvit'"),
        ("search --strategy evolve", "unknown strategy 'evolve'; did you mean 'evolution'"),
        ("search --maximize lenght", "unknown metric 'lenght'; did you mean 'length'"),
        (
            "search --constraint params<=1e3 --image-size 32 --executor inline",
            "constraint='params<=1000' can be met by none of asvit: its smallest network has params=",
        ),
        (
            "search --space vit_resnas_digits --constraint macs<=1e6",
            "can be met by none of vit_resnas_digits: its smallest network has macs=2.52922e+06",
        ),
        ("search --constraint params=3", "is not of the form METRIC<=NUMBER"),
        ("search --constraint params<=nan", "'nan' is not a number"),
        ("search --constraint params<=-1", "the bound must be positive"),
        ("search --image-size 7", "image_size=7 cannot be taken by asvit; give an integer from 32 to 4096"),
        ("search --image-size -224", "image_size=-224 cannot be taken"),
        ("search --trials 0", "trials=0 cannot be taken"),
        ("search --seed -1", "seed=-1 cannot be taken"),
        ("search --budget never", "budget='never' is not a duration"),
        ("search --scale-to params", "scale_to='params' is not of the form"),
        (
            "search --scale-to params<=1e5 --trials 2 --image-size 32 --executor inline --maximize params",
            "already larger",
        ),
        ("search --set trails=3", "unknown key 'trails'; did you mean 'trials'"),
        ("search --config none.yaml", "none.yaml: cannot be read"),
        ("search --out file/run", "cannot be made"),
        ("resume nowhere", "nowhere is not a run directory"),
        ("report nowhere", "nowhere is not a run directory"),
        ("describe none.json", "none.json: no such file"),
        ("describe broken.json", "broken.json: not a JSON document"),
        ("describe asvit_smal", "did you mean 'asvit_small'"),
        ("score asvit_seed --metric lenght", "unknown metric 'lenght'; did you mean 'length'"),
        ("score asvit_seed --set length.pointz=3", "unknown key of length 'pointz'; did you mean 'points'"),
        ("score asvit_seed --set length.points=-1", "length.points=-1 cannot be taken"),
        ("sample --space toyy", "unknown space 'toyy'; did you mean 'toy'"),
        ("sample --out file/x", "cannot be made"),
        ("train none.json", "none.json: no such file"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(nas, tmp_path, line, sentence):
    (tmp_path / "file").write_text("x")
    (tmp_path / "broken.json").write_text('{"format": "nas.arch')
    status, out, err = nas(line)
    last = err.strip().splitlines()[-1]
    assert status == 2
    assert out == ""
    assert sentence in last
    assert last.startswith("error: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("line", ["serch", "search --trials many", "search --nonsense", "score"])
def test_usage_mistakes_have_status_2(nas, line):
    status, _, err = nas(line)
    assert status == 2
    assert "Traceback" not in err


def test_the_short_notation_of_every_space_is_read(nas):
    from searchspaces import get_space

    for name in ("asvit_seed", "vit_resnas_tiny", "vit_resnas_medium"):
        space = next(s for s in ("asvit", "vit_resnas_tiny", "vit_resnas_small") if name in get_space(s).published())
        network = get_space(space).published()[name]
        status, out, _ = nas("describe --json", get_space(space).notation(network))
        assert status == 0
        assert json.loads(out)["choices"] == dict(network.choices)
