import jax
import pytest
from random_checkpoint import hf_config

from vreason_jax.errors import UserError
from vreason_jax.families.registry import model_config_from_hf
from vreason_jax.runtime import memory

PUBLISHED_7B = model_config_from_hf(
    hf_config(
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        head_dim=128,
        rope_scaling={"mrope_section": [16, 24, 24]},
    )
)


def test_tokens_that_fit_are_what_is_free_by_what_one_takes_less_the_others():
    assert memory.fitting_tokens(1000, 10) == 100
    assert memory.fitting_tokens(1000, 10, other_tokens=30) == 70
    assert memory.fitting_tokens(100, 10, other_tokens=30) == 0


def test_the_warning_says_how_many_fit_and_what_to_lower():
    line = memory.memory_warning(500, 2 * 10**9, 10**7)
    assert line is not None
    assert line.startswith("500 video tokens, about 200 fit in the 2.0 GB")
    assert "video.max_pixels" in line and "video.num_frames" in line and "\n" not in line


@pytest.mark.parametrize(("tokens", "free"), [(200, 2 * 10**9), (10**9, None)])
def test_no_warning_where_all_fit_or_nobody_knows(tokens, free):
    assert memory.memory_warning(tokens, free, 10**7) is None


def test_a_token_of_the_7b_model_takes_its_cache_and_more():
    one = memory.bytes_per_video_token(PUBLISHED_7B, 2)
    cache, method = 57_344, 4 * 512 * 4  # bytes: notes of the model; four float32 copies
    assert cache + method < one < 20 * cache
    four = memory.bytes_per_video_token(PUBLISHED_7B, 2, model_axis=4)
    assert one / 4 < four < one


def test_a_cache_that_no_memory_holds_is_refused_and_any_other_is_not(monkeypatch):
    def check(**given):
        sizes = {"prompt": 2048, "tokens": 1024, "rows": 1, **given}
        memory.check_cache(PUBLISHED_7B, 2, **sizes)

    slot = 57_344  # bytes: notes of the model
    monkeypatch.setattr(memory, "free_bytes", lambda device: 20_000 * slot)
    check()
    check(rows=4)
    check(tokens=28_000)  # of which the cache holds a half at first
    for given in ({"rows": 8}, {"tokens": 100_000}, {"prompt": 30_000}, {"tokens": 2**31 - 1}):
        with pytest.raises(UserError, match=r"GB of memory are free; lower sampling\.max_new"):
            check(**given)
    with pytest.raises(UserError):
        check(rows=10**20)
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    check(rows=10**20)


def test_a_cpu_reports_the_hosts_free_memory():
    free = memory.free_bytes(jax.devices("cpu")[0])
    assert free is not None and 10**6 < free < 10**15


@pytest.mark.parametrize(
    ("stats", "free"),
    [({"bytes_limit": 100, "bytes_in_use": 30}, 70), ({"bytes_limit": 100}, 100), (None, None)],
)
def test_an_accelerator_reports_its_limit_less_what_is_in_use(stats, free):
    class Device:
        platform = "gpu"

        def memory_stats(self):
            return stats

    assert memory.free_bytes(Device()) == free
