"""The analytic model: the vectors of the sheet, published figures, and how costs move with sizes and knobs."""

import dataclasses

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hardware.edge_moe.encoder import layer_kernels, stem_kernels
from hardware.edge_moe.kernels import (
    attention_cycles,
    attention_rows,
    ceil_div,
    expert_loads,
    linear_trips,
    patch_trips,
)
from hardware.edge_moe.platform import PUBLISHED_LATENCY_MS, Platform, describe_options, platform
from hardware.edge_moe.resources import Sizes, resources
from searchspaces import NasError
from searchspaces.m3vit import Dense, Experts, Network

SHIPPED = Network(3, 128, 256, 16, 192, 3, (Dense(768), Experts(16, 2, 384)) * 6)


def kernels(p, network):
    layers = [layer_kernels(p, network.tokens, network.dim, network.heads, ffn) for ffn in network.layers]
    return [*stem_kernels(p, network), *(kernel for layer in layers for kernel in layer)]


def total(p, network):
    return sum(kernel.cycles for kernel in kernels(p, network))


def by_group(found, field):
    groups = {}
    for kernel in found:
        groups[kernel.group] = groups.get(kernel.group, 0) + getattr(kernel, field)
    return groups


def test_trip_counts_are_exact(vectors):
    p, counts = Platform(), vectors["trip_counts_shipped"]
    assert patch_trips(p, 3, 128, 256, 16, 192) == counts["patch_embed_compute"]
    for inputs, outputs in ((192, 192), (192, 768), (768, 192)):
        assert linear_trips(p, 129, inputs, outputs) == counts[f"linear_{inputs}x{outputs}"]
    assert attention_rows(p, 129) * 192 // 8 == counts["qk"] == counts["av"]
    assert attention_rows(p, 129) * p.queries == counts["softmax_statistics_iterations"]
    assert linear_trips(p, 1, 192, 384) == linear_trips(p, 1, 384, 192) == counts["expert_fc_per_token"]
    for inputs, outputs in ((192, 192), (192, 768), (192, 384)):
        assert inputs * outputs // p.weights_per_beat == counts[f"weight_beats_{inputs}x{outputs}"]


def test_stream_transfers_are_those_counted_in_the_source(vectors):
    """What the stages of a kernel push to each other: blocks of 8, tiles of 16, one word per row or token."""
    p, known = Platform(), vectors["stream_transfers_c_simulation"]
    tokens, routed = 129, sum(vectors["expert_load_first_moe_layer"]["task0"])
    blocks, rows = ceil_div(192, p.beat), attention_rows(p, tokens)

    def linear(inputs, outputs):  # per token
        return ceil_div(inputs, p.tile) + ceil_div(outputs, p.tile)

    both_products = 2 * (rows * blocks + tokens * blocks + rows + rows * p.queries + tokens)
    attention = 4 * tokens * linear(192, 192) + both_products
    patches = (tokens - 1) * blocks
    dense = tokens * (linear(192, 768) + linear(768, 192))
    gate = tokens * (blocks + 2)  # the token; its experts and their scores
    experts = routed * (1 + linear(192, 384) + 1 + linear(384, 192))  # and its place, twice
    assert known["breakdown"]["qk_plus_av"] == both_products
    assert known["breakdown"]["moe"] == gate + experts
    assert known["after_layer0"] == patches + attention + dense
    assert known["after_layer1"] == known["after_layer0"] + attention + gate + experts


def test_the_vectors_of_the_model(vectors, network_of):
    for vector in vectors["model_vectors"]:
        config, name = vector["config"], vector["name"]
        p = Platform(
            port_efficiency=vector["eta"],
            port_bits=vector["port_bits"],
            queries=vector["P"],
            barriers=vector["barriers"],
            expert_load=tuple(config["lens"]),
        )
        found = kernels(p, network_of(config))
        cycles = by_group(found, "cycles")
        for group, value in vector["kernel_cycles"].items():
            assert cycles.get(group, 0.0) == pytest.approx(value, abs=0.051), (name, group)  # one decimal is given
        assert sum(cycles.values()) == pytest.approx(vector["cycles_total"], abs=0.051), name
        assert p.milliseconds(sum(cycles.values())) == pytest.approx(vector["latency_ms"], abs=5.1e-5)
        moved = by_group(found, "dram_bytes")
        for group, value in vector["dram_bytes"].items():
            assert moved.get(group, 0) == value, (name, group)


@pytest.mark.parametrize("efficiency", [1.0, 0.9])
@pytest.mark.parametrize("load", ["task0", "task1", None])
def test_the_shipped_network_takes_what_was_published(vectors, efficiency, load):
    loads = vectors["expert_load_first_moe_layer"]
    p = Platform(port_efficiency=efficiency, expert_load=None if load is None else tuple(loads[load]))
    assert p.milliseconds(total(p, SHIPPED)) == pytest.approx(PUBLISHED_LATENCY_MS, rel=0.10)


def test_time_shares_are_those_of_the_paper(vectors):
    published = {entry["id"]: entry for entry in vectors["published"]}["edge_moe_time_shares"]
    p = Platform(expert_load=tuple(vectors["expert_load_first_moe_layer"]["task0"]))
    cycles = by_group(kernels(p, SHIPPED), "cycles")
    whole = sum(cycles.values())
    attention = (cycles["qk_softmax"] + cycles["av"]) / whole
    linear = (cycles["attn_linear"] + cycles["dense_ffn"] + cycles["experts"]) / whole
    assert attention == pytest.approx(published["share_qk_and_av"], abs=published["tolerance_abs"])
    assert linear == pytest.approx(published["share_attention_linear_dense_moe"], abs=published["tolerance_abs"])


def test_resources_of_the_shipped_build(vectors):
    used = resources(Platform(), Sizes.of(SHIPPED))
    known = vectors["resources_model_shipped"]
    assert (used.dsp, used.bram36) == (known["dsp"], known["bram"])
    assert (used.total_dsp, used.total_bram36) == (known["DSP"], known["BRAM36"])
    totals = vectors["device_totals"]["ZCU102"]
    assert (Platform().dsp, Platform().bram36) == (totals["DSP"], totals["BRAM36"])
    assert used.misfit(Platform()) is None


@pytest.mark.parametrize(
    ("dim", "heads", "bram"), [(192, 3, 410), (256, 4, 415), (384, 6, 825), (768, 12, 2467)]
)  # the feasibility rules of the sheet
def test_block_memories_grow_with_the_width(dim, heads, bram):
    network = SHIPPED._replace(dim=dim, heads=heads, layers=(Dense(4 * dim), Experts(16, 2, 2 * dim)))
    used = resources(Platform(), Sizes.of(network))
    assert used.total_bram36 == bram
    assert (used.misfit(Platform()) is None) == (bram <= 912)


def test_query_parallelism_costs_multipliers_and_saves_time(vectors):
    """The design-choice predictions of the sheet."""
    predicted = {1: (87.4, 1472), 2: (52.2, 1570), 4: (34.5, 1766), 8: (25.7, 2158), 16: (21.3, 2942)}
    load = tuple(vectors["expert_load_first_moe_layer"]["task0"])
    for queries, (milliseconds, dsp) in predicted.items():
        p = Platform(queries=queries, expert_load=load)
        assert p.milliseconds(total(p, SHIPPED)) == pytest.approx(milliseconds, abs=0.051)
        assert resources(p, Sizes.of(SHIPPED)).total_dsp == dsp
    wide = Platform(tile=32, expert_load=load)
    assert wide.milliseconds(total(wide, SHIPPED)) == pytest.approx(30.8, rel=0.002)
    assert resources(wide, Sizes.of(SHIPPED)).total_dsp == 3334
    assert "3334 DSP of 2520" in resources(wide, Sizes.of(SHIPPED)).misfit(wide)
    free = Platform(barriers=False, expert_load=load)
    saved = free.milliseconds(total(Platform(expert_load=load), SHIPPED) - total(free, SHIPPED))
    assert saved == pytest.approx(1.05, abs=0.01)


# --- monotonicity ---------------------------------------------------------------------------------------------------

networks = st.builds(
    lambda rows, heads, head_dim, dense, hidden, experts, top_k: Network(
        3, 16 * rows, 256, 16, 8 * heads * head_dim, heads, (Dense(16 * dense), Experts(experts, top_k, 16 * hidden))
    ),
    rows=st.integers(1, 12),
    heads=st.integers(1, 4),
    head_dim=st.integers(4, 8),
    dense=st.integers(1, 96),
    hidden=st.integers(1, 48),
    experts=st.integers(4, 16),
    top_k=st.integers(1, 4),
)


@settings(max_examples=150, deadline=None)
@given(network=networks, more=st.integers(1, 8))
def test_latency_grows_with_every_size(network, more):
    p = Platform()
    before = total(p, network)
    dense, mixture = network.layers
    assert total(p, network._replace(height=network.height + 16 * more)) > before  # 16 more tokens keep bursts aligned
    assert total(p, network._replace(dim=network.dim + 16 * network.heads * more)) > before
    assert total(p, network._replace(layers=(Dense(dense.hidden + 16 * more), mixture))) > before
    wider = mixture._replace(hidden=mixture.hidden + 16 * more)
    assert total(p, network._replace(layers=(dense, wider))) > before
    assert total(p, network._replace(layers=(*network.layers, dense))) > before


@settings(max_examples=40, deadline=None)
@given(network=networks, fewer=st.floats(0.5, 1.0))
def test_active_experts_cost_their_weights(network, fewer):
    """A skewed gate is no dearer than an even one, as long as loading the weights is what takes the time."""
    dense, mixture = network.layers
    routed = mixture.top_k * network.tokens
    mixture = mixture._replace(experts=max(mixture.experts, routed // 12 + 1))  # few tokens for each
    network = network._replace(layers=(dense, mixture))
    p = Platform()
    some = p.replace(active_fraction=fewer)
    active = sum(1 for n in expert_loads(some, network.tokens, mixture.experts, mixture.top_k) if n)
    assume(routed // active < 24)
    assert total(some, network) <= total(p, network)


@settings(max_examples=150, deadline=None)
@given(network=networks, port=st.sampled_from([(32, 64), (64, 128), (128, 256)]))
def test_wider_ports_never_cost_time(network, port):
    narrow, wide = (Platform(port_bits=bits) for bits in port)
    assert total(wide, network) <= total(narrow, network)


@settings(max_examples=150, deadline=None)
@given(network=networks, power=st.integers(0, 3))
def test_more_queries_never_cost_time(network, power):
    """With whole groups of queries: the tokens of these networks are a multiple of 16 and one."""
    few, many = Platform(queries=2**power), Platform(queries=2 ** (power + 1))
    assert network.tokens % 16 == 1
    assert total(many, network) <= total(few, network)


@settings(max_examples=100, deadline=None)
@given(network=networks, speed=st.floats(1.1, 3.0))
def test_the_clock_scales_time(network, speed):
    p = Platform()
    fast = p.replace(clock_mhz=p.clock_mhz * speed)
    cycles = total(p, network)
    assert fast.milliseconds(total(fast, network)) == pytest.approx(p.milliseconds(cycles) / speed)


@settings(max_examples=100, deadline=None)
@given(queries=st.sampled_from([2, 4, 8]), groups=st.integers(4, 40), heads=st.integers(1, 6))
def test_a_last_group_that_is_not_full_breaks_the_bursts(queries, groups, heads):
    p = Platform(queries=queries)
    whole, _ = attention_cycles(p, groups * queries + 1, heads, 64, scores=True)
    broken, _ = attention_cycles(p, groups * queries, heads, 64, scores=True)
    assert broken > whole


@settings(max_examples=200, deadline=None)
@given(tokens=st.integers(1, 500), experts=st.integers(1, 32), top_k=st.integers(1, 4), share=st.floats(0.01, 1))
def test_no_routed_token_is_lost(tokens, experts, top_k, share):
    assume(top_k <= experts)
    load = expert_loads(Platform(active_fraction=share), tokens, experts, top_k)
    assert len(load) == experts
    assert sum(load) == top_k * tokens
    assert max(load) <= tokens or share < 1


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"querys": 4}, "unknown option of edge-moe 'querys'; did you mean 'queries'"),
        ({"queries": 0}, "queries=0 must be a whole number from 1 to 64"),
        ({"queries": 4.0}, "queries=4.0 must be a whole number"),
        ({"port_efficiency": 1.5}, r"port_efficiency=1.5 must be a number from 0.05 to 1"),
        ({"port_efficiency": float("nan")}, "port_efficiency=nan must be a number"),
        ({"barriers": 1}, "barriers=1 must be true or false"),
        ({"tile": 12}, "tile=12 must be a multiple of 8"),
        ({"axi_bits": 100}, "axi_bits=100 does not hold whole activations"),
        ({"clock_mhz": "300"}, "clock_mhz='300' must be a number from 1 to 1000"),
        ({"expert_load": (1, -1)}, r"expert_load=\(1, -1\) must be whole numbers of tokens"),
        ({"weight_buffer": 1}, "weight_buffer=1 must be a whole number from 256 up"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(NasError, match=message):
        platform(options)


def test_a_load_of_another_network_is_told():
    with pytest.raises(NasError, match="expert_load has 2 experts and 10 routed tokens; the network has 16 and 258"):
        total(Platform(expert_load=(4, 6)), SHIPPED)


def test_every_option_is_documented():
    told = {name: meaning for name, _, meaning in describe_options()}
    assert set(told) == {option.name for option in dataclasses.fields(Platform)}
    assert all(told.values())
