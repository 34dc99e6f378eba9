"""What the division of time and memory promises: within what is given, within the limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.planning.budget import (
    HOUR,
    TIME_SHARES,
    VALIDATING,
    Batches,
    StagePace,
    choose_batches,
    choose_course,
    plan_course,
    step_images,
)
from glnet.recipe import read_bytes, show_bytes

STAGES = ("global", "global_to_local")
SECONDS = st.floats(0.01, 300)
PACES = st.fixed_dictionaries({stage: st.builds(StagePace, SECONDS, SECONDS) for stage in STAGES})
MOST = {"global": 1200, "global_to_local": 500}


@given(st.integers(1, 500), st.integers(0, 100), PACES, st.floats(0.1, 200))
def test_the_course_keeps_to_the_hours(images, validation, pace, hours):
    """Unless the fewest epochs take longer; no stage exceeds ten times the released epochs."""
    course = plan_course(images, validation, pace, hours)

    for stage, epochs in course.epochs.items():
        assert 1 <= epochs <= MOST[stage]
        given_seconds = hours * HOUR * TIME_SHARES[stage]
        # The last epoch is validated out of turn.
        extra = validation * pace[stage].validation
        if stage not in course.binding:
            assert course.seconds[stage] <= given_seconds + extra
            one_more = images * pace[stage].training + validation * pace[stage].validation
            assert course.seconds[stage] + one_more >= given_seconds - 1e-6
    sparse = course.validate_every >= max(course.epochs.values())
    assert course.validating <= VALIDATING or sparse


def test_validation_is_as_frequent_as_its_share_allows():
    """A slow twin: the next smaller interval would take more."""
    pace = {"global": StagePace(1.0, 4.0)}

    course = plan_course(10, 5, pace, 10)

    def share(every):
        epochs = course.epochs["global"]
        validating = -(-epochs // every) * 5 * 4.0
        return validating / (validating + epochs * 10 * 1.0)

    assert share(course.validate_every) <= VALIDATING < share(course.validate_every - 1)


def test_without_validation_images_every_epoch_counts_as_one():
    course = plan_course(10, 0, {"global": StagePace(1.0, 50.0)}, 1)

    assert course.validate_every == 1
    assert course.epochs == {"global": 360}


def test_the_local_branch_learns_longer_and_alone_all_the_time():
    pace = {stage: StagePace(1.0, 0.0) for stage in STAGES}

    course, alone = (
        plan_course(100, 0, pace, 8),
        plan_course(100, 0, {STAGES[1]: pace[STAGES[1]]}, 8),
    )

    assert course.epochs == {"global": 108, "global_to_local": 180}
    assert alone.epochs == {"global_to_local": 288}


@pytest.mark.parametrize(
    ("images", "most", "epochs", "least", "batch"),
    [
        (60, 6, 10, 1, 6),
        (60, 6, 9, 1, 5),
        (60, 6, 1, 1, 1),
        (60, 6, 1, 2, 2),
        (1, 1, 5, 2, 1),
    ],
)
def test_steps_have_fewer_images_where_steps_are_few(images, most, epochs, least, batch):
    assert step_images(images, most, epochs, least) == batch


def step_bytes(stage, batch, mini_batch):
    """A network whose stage two takes the most."""
    return 100 * (batch + mini_batch) * (2 if stage == "global_to_local" else 1)


@given(st.integers(1, 100), st.integers(0, 5000))
def test_batches_fit_the_memory(images, limit):
    """Where anything does; and one more image or patch would not have fitted."""
    chosen = choose_batches(images, STAGES, limit, step_bytes)

    if limit >= step_bytes("global_to_local", 1, 1):
        assert chosen.memory <= limit
        assert all(step_bytes(s, n, chosen.mini_batch) <= limit for s, n in chosen.images.items())
    else:
        assert chosen.mini_batch == 1
        assert set(chosen.images.values()) <= {1, 2, 3, 4, 5, 6}
    most = choose_batches(images, STAGES, limit, None).images
    for stage, count in chosen.images.items():
        assert count <= most[stage]
        assert count == most[stage] or step_bytes(stage, count + 1, chosen.mini_batch) > limit
    if chosen.mini_batch < 8:
        larger = {1: 2, 2: 3, 3: 4, 4: 6, 6: 8}[chosen.mini_batch]
        assert any(step_bytes(stage, 1, larger) > limit for stage in STAGES)


@pytest.mark.parametrize(("images", "batch"), [(1, 1), (2, 2), (11, 2), (12, 3), (24, 6), (99, 6)])
def test_without_an_estimate_the_number_of_images_decides(images, batch):
    assert choose_batches(images, STAGES, 0, None) == Batches(dict.fromkeys(STAGES, batch), 4, None)


def test_long_stages_learn_at_the_papers_rates_and_short_ones_faster():
    batches = Batches(dict.fromkeys(STAGES, 2), 4, None)
    quick = {stage: StagePace(0.1, 0.0) for stage in STAGES}

    def rates(images, hours):
        course = plan_course(images, 0, quick, hours)
        settings = choose_course(course, images, batches, hours).settings
        return [settings[f"train.stages.{stage}"]["learning_rate"] for stage in STAGES]

    assert rates(1000, 24) == [1e-4, 2e-5]
    assert rates(10, 0.1) == [5e-4, 5e-4]


@pytest.mark.parametrize(
    ("hours", "settings", "bounds"),
    [
        (0.001, [(1, 2), (1, 2)], ["one epoch is the least"] * 2),
        (0.4, [(9, 5), (15, 6)], ["steps."] * 2),
        (1e4, [(1200, 6), (500, 6)], ["released code's 120 epochs", "released code's 50 epochs"]),
    ],
)
def test_stages_get_as_many_images_a_step_as_their_epochs_allow(hours, settings, bounds):
    """And a reason says where something else than the time decided how many epochs."""
    course = plan_course(60, 0, {stage: StagePace(1.0, 0.0) for stage in STAGES}, hours)

    chosen = choose_course(course, 60, Batches(dict.fromkeys(STAGES, 6), 4, None), hours)

    keys = [f"train.stages.{stage}" for stage in STAGES]
    assert [(chosen.settings[k]["epochs"], chosen.settings[k]["batch"]) for k in keys] == settings
    assert all(bound in chosen.reasons[k] for k, bound in zip(keys, bounds, strict=True))


@pytest.mark.parametrize(
    ("text", "count"),
    [("4GiB", 4 << 30), ("4 GB", 4 << 30), ("1.5g", 3 << 29), ("800MiB", 800 << 20), ("9", 9)],
)
def test_memory_is_written_as_people_do(text, count):
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["", "lots", "-1GiB", "0GiB", "4 GiBs", "9" * 400])
def test_memory_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="4GiB"):
        read_bytes(text)


@given(st.integers(1 << 25, 1 << 45))
def test_memory_reads_back_as_it_is_shown(count):
    """To two digits at least."""
    assert read_bytes(show_bytes(count)) == pytest.approx(count, rel=0.05)
