import pytest

from vreason_jax.errors import UserError
from vreason_jax.planning.devices import KINDS, Devices, parse_devices


@pytest.mark.parametrize(
    ("text", "devices", "hosts", "topology"),
    [
        ("v5e-8", Devices("v5e", 8), 1, "v5e:2x4"),
        ("v5e:2x4", Devices("v5e", 8), 1, "v5e:2x4"),
        ("v5litepod-8", Devices("v5e", 8), 1, "v5e:2x4"),
        ("v5e-256", Devices("v5e", 256), 32, "v5e:16x16"),
        ("v5p", Devices("v5p", 4), 1, "v5p:2x2x1"),
        ("V5P-8", Devices("v5p", 8), 2, "v5p:2x2x2"),
        ("v6e", Devices("v6e", 1), 1, "v6e:1x1"),
        ("h100:8", Devices("h100", 8), 1, ""),
        ("h200", Devices("h200", 1), 1, ""),
    ],
)
def test_devices_are_named_by_chips_or_by_topology(text, devices, hosts, topology):
    parsed = parse_devices(text)
    assert (parsed, parsed.hosts, parsed.topology) == (devices, hosts, topology)
    assert parse_devices(str(parsed)) == parsed


@pytest.mark.parametrize("text", ["v5e-7", "v5e:2x5", "v5e-0", "h100:9", "h100:2x2", "h100:"])
def test_a_size_that_there_is_not_is_refused_with_those_that_there_are(text):
    with pytest.raises(UserError, match="expected one of"):
        parse_devices(text)


@pytest.mark.parametrize("text", ["", "tpu", "h101:1", "v5e-8-8", "²"])
def test_an_unknown_kind_is_refused(text):
    with pytest.raises(UserError, match=r"--device .*expected one of v4, v5e"):
        parse_devices(text)


def test_every_slice_is_as_large_as_its_topology():
    for name, kind in KINDS.items():
        for count, topology in kind.slices.items():
            product = 1
            for side in topology.split("x") if topology else [str(count)]:
                product *= int(side)
            assert product == count, name


def test_larger_slices_come_in_order():
    assert [str(each) for each in Devices("v5e", 8).larger()][:3] == ["v5e-16", "v5e-32", "v5e-64"]
    assert [str(each) for each in Devices("h100", 7).larger()] == ["h100:8"]
