"""timm's tables: reading them, and what the package states about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardware.fitted.tables import Row, distinct, read_table, transformers
from searchspaces import NasError

DATA = Path(__file__).parents[4] / "shared" / "data" / "timm_results"
HEAD = "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts"


def test_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f'{HEAD}\nvit_x.tag,224,"2,000.0",512.0,1024,5.7,1.3,6.0\nresnet50,224,1000,1,1,25,4,11\n')
    first, second = read_table(path)
    assert first == Row("vit_x.tag", 224, 0.5, 1024, 5.7, 1.3, 6.0)
    assert (first.family, first.plain, second.plain) == ("vit", True, False)
    assert transformers([first, second]) == [first]


def test_one_network_under_two_names_counts_once():
    one = Row("vit_a", 224, 0.5, 1024, 5.7, 1.3, 6.0)
    same = Row("vit_b", 224, 0.6, 1024, 5.7, 1.3, 6.0)
    larger = Row("vit_a", 384, 0.6, 1024, 5.7, 1.3, 6.0)
    assert distinct([one, same, larger]) == [one, larger]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", f"{HEAD}\nvit,x,1,1,1,1,1,1\n"])
def test_other_files_are_named(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(NasError, match=r"t\.csv is no inference table of timm"):
        read_table(path)
    with pytest.raises(NasError, match="cannot read the table"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.skipif(not DATA.is_dir(), reason="timm's tables are not on this machine")
def test_shipped_predictors_know_the_networks_of_the_table():
    """An RTX 3090 runs DeiT-Ti/16 at the speed of the table, within the error of a network that was measured."""
    from hardware import get_target
    from hardware.network import timm_network

    table = read_table(DATA / "benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv")
    row = next(row for row in table if row.model == "deit_tiny_patch16_224")
    found = get_target("gpu-rtx3090").estimate(timm_network(row.model), row.batch_size)
    assert found.latency_ms.value / row.batch_size == pytest.approx(row.latency_ms, rel=0.2)
