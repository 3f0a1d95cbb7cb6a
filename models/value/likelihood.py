"""Maximum likelihood of a few positive parameters: climb, polish, tell what is not identified."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.base import BaseEstimator

__all__ = [
    "IdentificationWarning",
    "LikelihoodScorer",
    "Maximum",
    "finite_difference_hessian",
    "maximise",
]

FloatArray = npt.NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]
"""Mean log-likelihood and its gradient at the logarithms of the parameters."""

LOG_BOUND = 12.0
"""Parameters stay between exp(-12) and exp(12), times where each began."""

NEWTON_STEPS = 8
NEWTON_TOLERANCE = 1e-10
SETTLED = 1e-5
"""A step of the logarithms after which the Hessian is as good as where it was taken."""

HESSIAN_STEP = 1e-4
LEAST_RECIPROCAL_CONDITION = 1e-9
LARGEST_LOG_ERROR = 2.0
"""A standard error over two units of the logarithm (a factor of seven) pins nothing down."""


class IdentificationWarning(UserWarning):
    """The data do not pin the parameters down; forecasts may still be sound."""


@dataclass(frozen=True)
class Maximum:
    """Where the likelihood is greatest, and how sharply."""

    parameters: FloatArray
    standard_errors: FloatArray
    """Of the parameters themselves; NaN where the Hessian is singular."""
    log_covariance: FloatArray
    """Of the parameters' logarithms; NaN where the Hessian is singular."""
    mean_log_likelihood: float
    is_identified: bool
    weakest: tuple[str, ...]
    """Names of the parameters along the flattest direction, when not identified."""
    iterations: int


def maximise(
    objective: Objective, start: Sequence[float], names: Sequence[str], observations: float
) -> Maximum:
    """Maximise a mean log-likelihood over positive parameters.

    L-BFGS on the logarithms with the analytic gradient, then a few Newton steps, so that the
    result does not hang on where the search stopped. Warns with IdentificationWarning when the
    Hessian at the maximum is singular or the search met a bound.

    Parameters
    ----------
    objective
        Mean log-likelihood and gradient by the logarithms of the parameters.
    start
        Where to begin, each greater than 0.
    names
        One per parameter, for the warning.
    observations
        Number of observations behind the mean; scales the standard errors.
    """
    first = np.log(np.asarray(start, dtype=np.float64))

    def downhill(logs: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(logs)
        return -value, -gradient

    found = minimize(
        downhill,
        first,
        jac=True,
        method="L-BFGS-B",
        bounds=[(log - LOG_BOUND, log + LOG_BOUND) for log in first],
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-13, "gtol": 1e-8, "maxcor": 20},
    )
    logs = np.asarray(found.x, dtype=np.float64)
    at_bound = np.abs(np.abs(logs - first) - LOG_BOUND) < 1e-6
    logs, hessian = _polish(objective, logs, at_bound)
    value = objective(logs)[0]
    sizes, directions = np.linalg.eigh(-hessian)
    largest = float(sizes[-1])
    sound = bool(largest > 0 and sizes[0] > LEAST_RECIPROCAL_CONDITION * largest)
    covariance = np.full((len(logs), len(logs)), np.nan)
    if sound:
        covariance = (directions / sizes) @ directions.T / observations
        sound = bool(np.sqrt(covariance.diagonal()).max() <= LARGEST_LOG_ERROR)
    identified = sound and not at_bound.any()
    flat = np.abs(directions[:, 0]) >= 0.3
    weakest = () if identified else tuple(np.asarray(names)[flat | at_bound].tolist())
    if not identified:
        warnings.warn(
            f"the data do not pin down {', '.join(weakest)}: the likelihood is flat there; "
            "read the forecasts, not these parameters",
            IdentificationWarning,
            stacklevel=3,
        )
    parameters = np.exp(logs)
    with np.errstate(invalid="ignore"):
        errors = parameters * np.sqrt(covariance.diagonal())
    return Maximum(
        parameters, errors, covariance, float(value), identified, weakest, int(found.nit)
    )


def finite_difference_hessian(objective: Objective, logs: FloatArray) -> FloatArray:
    """Second derivatives by the logarithms, from central differences of the gradient."""
    hessian = np.empty((len(logs), len(logs)))
    for at in range(len(logs)):
        step = np.zeros(len(logs))
        step[at] = HESSIAN_STEP
        up, down = objective(logs + step)[1], objective(logs - step)[1]
        hessian[at] = (up - down) / (2 * HESSIAN_STEP)
    return np.asarray((hessian + hessian.T) / 2)


def _polish(
    objective: Objective, logs: FloatArray, at_bound: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Newton steps while they climb; the Hessian where they end."""
    value, gradient = objective(logs)
    hessian = finite_difference_hessian(objective, logs)
    for _ in range(NEWTON_STEPS):
        sizes = np.linalg.eigvalsh(-hessian)
        if at_bound.any() or sizes[0] <= LEAST_RECIPROCAL_CONDITION * max(sizes[-1], 0.0):
            break
        step = np.linalg.solve(-hessian, gradient)
        if np.abs(step).max() < NEWTON_TOLERANCE or np.abs(step).max() > 1:
            break
        next_value, next_gradient = objective(logs + step)
        if next_value < value - 1e-12:
            break
        logs, value, gradient = logs + step, next_value, next_gradient
        if np.abs(step).max() < SETTLED:
            break
        hessian = finite_difference_hessian(objective, logs)
    return logs, hessian


class LikelihoodScorer(BaseEstimator):  # type: ignore[misc]
    """What estimators of a few positive parameters share once fitted.

    Attributes
    ----------
    parameters_, standard_errors_ : ndarray
        In the order of ``parameter_names``; errors from the Hessian, NaN where it is singular.
    log_covariance_ : ndarray
        Of the parameters' logarithms.
    log_likelihood_ : float
    is_identified_ : bool
        False when the likelihood is flat in some direction; ``weakest_parameters_`` says which.
    """

    parameter_names: tuple[str, ...]
    parameters_: FloatArray
    standard_errors_: FloatArray
    log_covariance_: FloatArray
    log_likelihood_: float
    is_identified_: bool
    weakest_parameters_: tuple[str, ...]
    n_iter_: int

    def _keep(self, found: Maximum, stretch: FloatArray, log_likelihood: float) -> None:
        """Keep what was found, each parameter times the unit that it was measured in."""
        self.parameters_ = found.parameters * stretch
        self.standard_errors_ = found.standard_errors * stretch
        self.log_covariance_ = found.log_covariance
        self.log_likelihood_ = float(log_likelihood)
        self.is_identified_ = found.is_identified
        self.weakest_parameters_ = found.weakest
        self.n_iter_ = max(found.iterations, 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.requires_fit = True
        return tags
