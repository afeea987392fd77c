"""Who a synthetic person is."""

from dataclasses import dataclass

import numpy as np

from owkd.data.thermal import difficulty


@dataclass(frozen=True)
class Traits:
    """One person. Lengths in body heights, temperatures in [0, 1].

    Attributes:
        band: centre and half height on the trunk (0 collar, 1 hip), and temperature; half height 0: no band
        pattern: of the trunk, and its period
        seam: temperature of a seam down the leg
        bag: "backpack" or "satchel", and its temperature
    """

    shoulder: float
    hip: float
    waist: float
    leg: float
    limb: float
    head: float
    hair: float
    torso: float
    sleeve: float
    trousers: float
    shoes: float
    sleeve_length: float
    trouser_length: float
    coat: float
    band: tuple[float, float, float]
    pattern: tuple[str, float]
    seam: float | None
    zip_heat: float | None
    hat: float | None
    bag: tuple[str, float] | None


def _garment(rng: np.random.Generator) -> float:
    return float(rng.choice(difficulty.GARMENT_HEATS) + rng.normal(0.0, difficulty.GARMENT_SPREAD))


def draw_traits(rng: np.random.Generator) -> Traits:
    """A person at random."""
    torso = _garment(rng)
    bag = rng.choice(["none", "none", "backpack", "satchel"])
    return Traits(
        shoulder=rng.uniform(*difficulty.SHOULDERS),
        hip=rng.uniform(*difficulty.HIPS),
        waist=rng.uniform(0.78, 1.0),
        leg=rng.uniform(*difficulty.LEGS),
        limb=rng.uniform(*difficulty.LIMBS),
        head=rng.uniform(*difficulty.HEADS),
        hair=rng.uniform(0.35, 0.85),
        torso=torso,
        sleeve=torso if rng.random() < 0.25 else _garment(rng),
        trousers=_garment(rng),
        shoes=rng.uniform(0.25, 0.75),
        sleeve_length=rng.choice([0.35, 1.0], p=[0.35, 0.65]),
        trouser_length=rng.choice([0.45, 1.0], p=[0.3, 0.7]),
        coat=rng.choice([0.0, 0.14], p=[0.7, 0.3]),
        band=(rng.uniform(0.25, 0.8), rng.choice([0.0, 0.10, 0.16]), _garment(rng)),
        pattern=(str(rng.choice(difficulty.PATTERNS)), float(rng.choice(difficulty.PATTERN_PERIODS))),
        seam=_garment(rng) if rng.random() < 0.4 else None,
        zip_heat=_garment(rng) if rng.random() < 0.3 else None,
        hat=rng.uniform(0.2, 0.6) if rng.random() < 0.3 else None,
        bag=None if bag == "none" else (str(bag), rng.uniform(0.2, 0.5)),
    )
