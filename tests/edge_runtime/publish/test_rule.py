"""Which events a rule lets through, and how it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.errors import UsageError
from fer_edge.contract.labels import FER2013_LABELS, UNCERTAIN
from fer_edge.publish.rule import FORM, LONGEST_S, Rule, Trigger, parse_rule, split_rule
from results import face, result

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
SECONDS = st.floats(0, LONGEST_S)


@st.composite
def rules_and_labels(draw: st.DrawFn) -> tuple[Rule, list[str]]:
    labels = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    rule = Rule(
        expressions=frozenset(draw(st.sets(st.sampled_from([*labels, UNCERTAIN])))),
        confidence=draw(st.floats(0, 1)),
        dwell_s=draw(SECONDS),
        every_s=draw(SECONDS),
    )
    return rule, labels


@given(rules_and_labels())
def test_what_is_written_is_read_back(case: tuple[Rule, list[str]]) -> None:
    rule, labels = case
    assert parse_rule(str(rule), labels, FORM) == (rule, {})
    assert split_rule(f"exec:a b#{rule}") == ("exec:a b", str(rule))


_PARTS = ["expression=happy", "expression", "confidence=", "dwell=1", "every=1e999", "nan", *"=,+#", "-1", "0.5"]


@given(st.lists(st.sampled_from(_PARTS) | st.text(max_size=6), max_size=5).map("".join))
def test_any_text_is_a_rule_or_refused_in_one_sentence_that_shows_the_form(text: str) -> None:
    try:
        rule, _ = parse_rule(text, FER2013_LABELS, FORM)
    except UsageError as error:
        assert str(error).endswith(FORM)
    else:
        assert rule.expressions <= {*FER2013_LABELS, UNCERTAIN}
        assert 0 <= rule.confidence <= 1 and 0 <= rule.dwell_s <= LONGEST_S and 0 <= rule.every_s <= LONGEST_S
        assert parse_rule(str(rule), FER2013_LABELS, FORM)[0] == rule


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("expression=hapy", "expression 'hapy' of an output does not exist; there are angry"),
        ("expression=happy,expression=sad", "given twice"),
        ("confidence=1.5", "from 0 to 1"),
        ("confidence=nan", "not a number"),
        ("dwell=-1", "from 0 to 86400"),
        ("every=1_0", "not a number"),
        ("dwel=2", "did you mean dwell?"),
        ("timeout=0", "from 0.1 to 60"),
        ("", ""),
    ],
)
def test_mistakes_are_named(text: str, says: str) -> None:
    if not says:
        assert parse_rule(text, FER2013_LABELS, FORM, timeout=(5.0, 0.1, 60.0)) == (Rule(), {"timeout": 5.0})
        return
    with pytest.raises(UsageError, match=r".") as refused:
        parse_rule(text, FER2013_LABELS, FORM, timeout=(5.0, 0.1, 60.0))
    assert says in str(refused.value)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(*labels: str, ids: tuple[int, ...] = (1, 2, 3), p: float = 0.88) -> object:
    faces = []
    for id, label in zip(ids, labels, strict=False):
        probabilities = [0.01] * 7
        probabilities[FER2013_LABELS.index(label) if label in FER2013_LABELS else 6] = p
        faces.append(face(id, probabilities, stable=label))
    return result(*faces)


def fired(rule: Rule, *frames: tuple[float, object]) -> list[float]:
    clock = Clock()
    trigger = Trigger(rule, clock=clock)
    moments = []
    for moment, frame in frames:
        clock.now = 100.0 + moment
        if trigger.fires(frame):  # type: ignore[arg-type]
            moments.append(moment)
    return moments


def test_each_stable_change_is_told_once_and_uncertain_is_none() -> None:
    frames = [(0.0, shown(UNCERTAIN)), (1.0, shown("happy")), (2.0, shown("happy")), (3.0, shown("sad")),
              (4.0, shown(UNCERTAIN)), (5.0, shown("sad")), (6.0, shown("sad", "angry")),
              (7.0, shown("sad", "angry"))]  # fmt: skip
    assert fired(Rule(), *frames) == [1.0, 3.0, 5.0, 6.0]
    assert fired(Rule(expressions=frozenset({UNCERTAIN})), *frames) == [0.0, 4.0]
    assert fired(Rule(expressions=frozenset({"angry", "happy"})), *frames) == [1.0, 6.0]


def test_a_dwell_begins_anew_when_the_label_or_the_face_was_gone() -> None:
    happy, nobody = shown("happy"), result()
    rule = Rule(dwell_s=2.0)
    assert fired(rule, (0, happy), (1.9, happy), (2.0, happy), (9, happy)) == [2.0]
    assert fired(rule, (0, happy), (1.5, nobody), (2.5, happy), (4.4, happy), (4.5, happy)) == [4.5]
    assert fired(rule, (0, happy), (1.5, shown("sad")), (3.5, shown("sad"))) == [3.5]


def test_confidence_is_that_of_the_stable_label_and_may_come_later() -> None:
    rule = Rule(confidence=0.7)
    frames = [(0.0, shown("happy", p=0.6)), (1.0, shown("happy", p=0.8)), (2.0, shown("happy", p=0.6)),
              (3.0, shown("happy", p=0.9))]  # fmt: skip
    assert fired(rule, *frames) == [1.0], "a wavering confidence is no new change"


def test_at_most_one_in_so_many_seconds_and_what_still_holds_is_told_then() -> None:
    rule = Rule(every_s=10.0)
    frames = [(0, shown("happy")), (1, shown("sad")), (2, shown("happy")), (9, shown("happy")), (10, shown("happy")),
              (11, shown("happy")), (12, shown("sad")), (13, result()), (30, result())]  # fmt: skip
    assert fired(rule, *frames) == [0, 10]


def test_active_lasts_as_long_as_somebody_shows_it() -> None:
    clock = Clock()
    trigger = Trigger(Rule(expressions=frozenset({"happy"}), dwell_s=1.0), clock=clock)
    states = []
    for frame in (shown("happy"), shown("happy"), shown("happy", "happy"), shown("sad", "happy"), result()):
        trigger.fires(frame)  # type: ignore[arg-type]
        states.append(trigger.active)
        clock.now += 1.0
    assert states == [False, True, True, True, False]
