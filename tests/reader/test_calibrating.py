"""Fits of a confidence that hold for sources left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ragyena.errors import TrainingError
from ragyena.model.confidence import Calibration, Form, features_of
from ragyena.reader.calibrating import Examples, fit_calibration, score_sources


def scores(form: Form, answer: float, null: float) -> dict[str, float]:
    return features_of(form, answer=answer, null=null, margin=1.0, tokens=2)


def examples(count: int, seed: int, *, sources: int = 4, shift: float = 0.0, odd: float = 0.0) -> Examples:
    """Answers whose chance of being right is a known function of their scores; ``shift`` moves it away from the
    reader's own probability, ``odd`` moves it for the last source alone."""
    generator = np.random.default_rng(seed)
    source = [f"kind {i % sources}" for i in range(count)]
    missing = generator.random(count) < 0.2
    null = np.where(missing, generator.normal(2, 2, count), generator.normal(-2, 2, count))
    logit = generator.normal(0, 2, count) - np.maximum(null, 0)
    moved = logit + shift + odd * np.array([one == f"kind {sources - 1}" for one in source])
    right = (generator.random(count) < 1 / (1 + np.exp(-moved))) & ~missing
    log = [(-math.log1p(math.exp(-a)), -math.log1p(math.exp(-b))) for a, b in zip(logit, null)]
    return Examples([scores("span", *one) for one in log], right.tolist(), missing.tolist(), source)


def test_both_probabilities_are_true_on_questions_that_were_not_fitted_to() -> None:
    fit = fit_calibration(examples(800, 0, shift=1.5))
    other = examples(2000, 1, shift=1.5)
    for calibration, least, most in ((fit.calibration, 0.0, 0.05), (Calibration(), 0.08, 1.0)):
        error = float(np.mean([one.calibration_error for one in score_sources(calibration, other)]))
        assert least <= error <= most
    judged = score_sources(fit.calibration, other)
    assert np.mean([one.no_answer_error for one in judged]) < 0.05
    assert all(one.auroc is not None and one.auroc > 0.7 for one in judged)


def test_each_source_is_judged_by_the_fit_on_the_others() -> None:
    fit = fit_calibration(examples(800, 2, odd=3.0))
    left_out, pooled = ({one.source: one for one in scores} for scores in (fit.left_out, fit.pooled))
    assert left_out.keys() == {"kind 0", "kind 1", "kind 2", "kind 3"}
    # the odd one is not known to the fit on the others, and shows it; a fit that has seen it hides some of that
    assert left_out["kind 3"].calibration_error > 2 * left_out["kind 0"].calibration_error
    assert left_out["kind 3"].calibration_error > pooled["kind 3"].calibration_error
    recorded = {one["source"]: one["calibration_error"] for one in fit.calibration.fitted["left_out"]}
    assert recorded["kind 3"] == pytest.approx(left_out["kind 3"].calibration_error, abs=1e-3)


def test_what_is_withheld_decides_well_and_the_rates_are_those_of_it() -> None:
    given = examples(800, 3)
    fit = fit_calibration(given)
    assert fit.calibration.threshold == 0 and 0.05 <= fit.calibration.odds <= 5
    confidence = np.array([fit.calibration.confidence(one) for one in given.features])
    none = np.array([fit.calibration.no_answer_probability(one) for one in given.features])
    withheld, missing = confidence < fit.calibration.odds * none, np.array(given.missing)
    decided = np.where(withheld, missing, given.right).mean()
    answered = np.array(given.right).mean()  # were none withheld
    assert decided > answered + 0.05
    pooled = {one.source: one for one in fit.pooled}["kind 1"]
    own = np.array(given.source) == "kind 1"
    assert pooled.withheld_missing == pytest.approx(withheld[own & missing].mean(), abs=0.02)
    assert pooled.withheld_answerable == pytest.approx(withheld[own & ~missing].mean(), abs=0.02)


def test_a_written_answer_has_weights_of_its_own() -> None:
    generator = np.random.default_rng(4)
    written = generator.random(900) < 0.5
    # what the decoder says is sure and says nothing; 70% are right whatever it says
    logit = np.where(written, generator.normal(4, 1, 900), generator.normal(0, 2, 900))
    right = np.where(written, generator.random(900) < 0.7, generator.random(900) < 1 / (1 + np.exp(-logit)))
    missing = generator.random(900) < 0.1
    features = [
        scores("written" if is_written else "span", -math.log1p(math.exp(-a)), math.log(0.1))
        for is_written, a in zip(written, logit)
    ]
    source = [f"kind {i % 3}" for i in range(900)]
    fit = fit_calibration(Examples(features, right.tolist(), missing.tolist(), source))
    sure = scores("written", math.log(0.99), math.log(0.1))
    assert fit.calibration.confidence(sure) == pytest.approx(0.7, abs=0.06)
    assert fit.calibration.confidence(scores("span", math.log(0.99), math.log(0.1))) > 0.9


@pytest.mark.parametrize("always", [True, False])
def test_where_all_are_right_or_wrong_the_confidence_says_so(always: bool) -> None:
    given = examples(200, 5)
    fit = fit_calibration(Examples(given.features, [always] * 200, [False] * 200, given.source))
    confidence = fit.calibration.confidence(given.features[0])
    assert confidence > 0.95 if always else confidence < 0.05


def test_one_source_cannot_be_left_out() -> None:
    given = examples(100, 6, sources=1)
    with pytest.raises(TrainingError, match="one source"):
        fit_calibration(given)


def test_questions_without_an_answer_weigh_as_often_as_they_are_met() -> None:
    given = examples(1200, 7, shift=1.0)  # a fifth of them has no answer
    often = fit_calibration(replace(given, missing_share=0.5))
    rarely = fit_calibration(replace(given, missing_share=0.05))
    one = given.features[0]
    assert often.calibration.no_answer_probability(one) > rarely.calibration.no_answer_probability(one)
    assert often.calibration.confidence(one) < rarely.calibration.confidence(one)
    weights, missing = replace(given, missing_share=0.5).weights, np.array(given.missing)
    assert weights.mean() == pytest.approx(1) and weights[missing].sum() == pytest.approx(weights[~missing].sum())


def test_of_odds_that_are_as_good_the_highest_are_taken() -> None:
    generator = np.random.default_rng(8)
    missing = generator.random(1500) < 0.3
    logit = np.where(missing, generator.normal(-1, 1, 1500), generator.normal(1, 1, 1500))
    features = [scores("span", -math.log1p(math.exp(-one)), math.log(0.1)) for one in logit]
    source = [f"kind {i % 3}" for i in range(1500)]
    fit = fit_calibration(Examples(features, (~missing).tolist(), missing.tolist(), source))
    confidence = np.array([fit.calibration.confidence(one) for one in features])
    none = np.array([fit.calibration.no_answer_probability(one) for one in features])

    def decided(odds: float) -> float:
        return float(np.where(confidence < odds * none, missing, ~missing).mean())

    taken = fit.calibration.odds
    best = max(np.arange(1, 101) / 20, key=decided)
    assert taken >= best and decided(taken) > decided(best) - 0.02
    assert (confidence < taken * none)[~missing].mean() <= 0.21


def test_of_two_doubtful_answers_the_one_is_given_whose_question_seems_to_have_one() -> None:
    """Half of the answers are doubtful, and the score of no answer alone tells which of these questions have none."""
    generator = np.random.default_rng(11)
    missing, sure = generator.random(1800) < 0.3, generator.random(1800) < 0.5
    missing &= ~sure
    right = np.where(sure, True, (generator.random(1800) < 0.3) & ~missing)
    null = np.where(missing, 0.6, 0.1) + generator.uniform(-0.05, 0.05, 1800)
    features = [scores("span", math.log(0.9 if one else 0.3), math.log(n)) for one, n in zip(sure, null)]
    fit = fit_calibration(Examples(features, right.tolist(), missing.tolist(), [f"kind {i % 3}" for i in range(1800)]))
    assert fit.mean("withheld_missing") > 0.95
    withheld = fit.mean("withheld_answerable")
    assert withheld is not None and withheld < 0.05


def test_features_that_tell_right_answers_are_used_where_all_readings_have_them() -> None:
    generator = np.random.default_rng(9)
    covered = generator.random(900)
    right = generator.random(900) < 1 / (1 + np.exp(-8 * (covered - 0.5)))
    plain = [scores("span", math.log(0.5), math.log(0.1)) for _ in range(900)]
    known = [
        {**one, "score": 0.0, "covered": float(c), "asked": 1.0, "similarity": 0.0} for one, c in zip(plain, covered)
    ]
    source = [f"kind {i % 3}" for i in range(900)]

    def auroc(features: list[dict[str, float]]) -> float:
        fit = fit_calibration(Examples(features, right.tolist(), [False] * 900, source))
        return fit.mean("auroc")

    assert auroc(known) > 0.85
    # one reading without them, as those of training are, and none of them can be fitted to
    assert auroc([*known[:-1], plain[-1]]) < 0.6
