"""Thermal-looking pedestrians, drawn in NumPy: who they are (traits) and how an image shows them (nuisance).

A person is a set of body parts with a temperature each. Identity lies in proportions and in the heat of the clothing
relative to the rest; an image adds everything that should not matter: gait, viewpoint, place, occlusion, warm clutter,
and the sensor. The balance of the two is in the constants below.

Shapes: n images of one person, S image side in pixels; arrays over pixels are (n, S, S), over images (n, 1, 1).
Figure coordinates: y = 0 at the crown of the head, y = 1 at the soles, x = 0 on the body axis, in body heights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# --- identity: what survives every nuisance -------------------------------------------------------------------------
GARMENT_HEATS = (0.36, 0.62, 0.90)  # how thick a garment may be: few levels, so that unseen people recombine known cues
GARMENT_SPREAD = 0.04  # standard deviation around such a level between people
PATTERNS = ("plain", "hoops", "stripes", "checks")  # of quilting or print, on trunk and sleeves
PATTERN_CONTRAST = 0.34  # temperature between its bright and dark parts
PATTERN_PERIODS = (0.075, 0.13)  # in body heights
SKIN_HEAT = 0.95  # the same for everybody, so that a network can read garments relative to it
SHOULDERS = (0.085, 0.155)  # half width of the shoulders
HIPS = (0.065, 0.125)  # half width of the hips
LEGS = (0.41, 0.56)  # leg length
LIMBS = (0.024, 0.050)  # half thickness of an arm; legs are LEG_THICKNESS times as thick
LEG_THICKNESS = 1.35
HEADS = (0.052, 0.070)  # radius of the head

# --- nuisance: what must not be taken for identity ------------------------------------------------------------------
HEAT_JITTER = 0.015  # standard deviation of a garment's temperature between two images of one person
FIGURE_HEIGHT = (0.905, 0.945)  # body height as a share of the image
STRETCH = (1.63, 1.67)  # how much wider than tall a unit is: a narrow crop of a person, resized to a square
SHIFT = 0.01  # largest displacement of the body axis as a share of the image
TURN = 0.07  # standard deviation of the viewpoint around front, back and the two sides, radians
LEAN = 0.01  # standard deviation of the shear of the figure
STRIDE = 0.12  # largest swing of a leg, radians
OCCLUSION = 0.04  # probability of an object in front of the person
OCCLUDER_WIDTH = (0.06, 0.14)  # of a post, as a share of the image; of a low wall its height
WARM_OBJECTS = 2  # largest number of warm things in the background
WARM_OBJECT_CHANCE = 0.10  # probability of each
WARM_OBJECT_HEAT = (0.25, 0.60)
BACKGROUND_HEAT = (0.12, 0.24)  # mean temperature of the background
BACKGROUND_TEXTURE = 0.03  # standard deviation of its smooth variation
CAMERA_GAIN = (0.88, 0.58, 0.72)  # grey value per temperature of each camera; the polarity never flips
CAMERA_OFFSET = (0.02, 0.20, 0.26)  # grey value of temperature 0
CAMERA_AIR = (-0.04, 0.06, 0.00)  # what each camera's place adds to the temperature of the background
GAIN_DRIFT = 0.03  # standard deviation between two images of one camera, as a share of the gain
OFFSET_DRIFT = 0.03  # standard deviation between two images of one camera
GRADIENT = 0.06  # largest slow change of the offset across the image
BLUR = (0.2, 0.7)  # focus: standard deviation in pixels of a 64 pixel image
PIXEL_NOISE = 0.018  # standard deviation
ROW_NOISE = 0.012  # standard deviation of what a whole row shares

ARM, NECK, CHIN = 0.36, 0.135, 0.15  # arm length; where shoulders and trunk begin
VIEWS = np.array([0.3, -0.3, np.pi - 0.3, np.pi + 0.3])  # front and back, turned left or right


@dataclass(frozen=True)
class Traits:
    """One person. Lengths in body heights, temperatures in [0, 1]."""

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
    """centre and half height on the trunk (0 collar, 1 hip), and temperature; half height 0: no band"""
    pattern: tuple[str, float]
    """of the trunk, and its period"""
    seam: float | None
    """temperature of a seam down the leg"""
    zip_heat: float | None
    hat: float | None
    bag: tuple[str, float] | None
    """"backpack" or "satchel", and its temperature"""


def _garment(rng: np.random.Generator) -> float:
    return float(rng.choice(GARMENT_HEATS) + rng.normal(0.0, GARMENT_SPREAD))


def draw_traits(rng: np.random.Generator) -> Traits:
    """A person at random."""
    torso = _garment(rng)
    bag = rng.choice(["none", "none", "backpack", "satchel"])
    return Traits(
        shoulder=rng.uniform(*SHOULDERS),
        hip=rng.uniform(*HIPS),
        waist=rng.uniform(0.78, 1.0),
        leg=rng.uniform(*LEGS),
        limb=rng.uniform(*LIMBS),
        head=rng.uniform(*HEADS),
        hair=rng.uniform(0.35, 0.85),
        torso=torso,
        sleeve=torso if rng.random() < 0.25 else _garment(rng),
        trousers=_garment(rng),
        shoes=rng.uniform(0.25, 0.75),
        sleeve_length=rng.choice([0.35, 1.0], p=[0.35, 0.65]),
        trouser_length=rng.choice([0.45, 1.0], p=[0.3, 0.7]),
        coat=rng.choice([0.0, 0.14], p=[0.7, 0.3]),
        band=(rng.uniform(0.25, 0.8), rng.choice([0.0, 0.10, 0.16]), _garment(rng)),
        pattern=(str(rng.choice(PATTERNS)), float(rng.choice(PATTERN_PERIODS))),
        seam=_garment(rng) if rng.random() < 0.4 else None,
        zip_heat=_garment(rng) if rng.random() < 0.3 else None,
        hat=rng.uniform(0.2, 0.6) if rng.random() < 0.3 else None,
        bag=None if bag == "none" else (str(bag), rng.uniform(0.2, 0.5)),
    )


def draw_images(traits: Traits, cameras: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Grey images (n, size, size) of one person, one for each entry of `cameras` (n,), 0 to 2."""
    n = len(cameras)
    scene = _background(n, size, rng) + _column(np.array(CAMERA_AIR)[cameras])
    scene = _figure(scene, traits, size, rng)
    scene = _occlude(scene, size, rng)
    return _sense(scene, cameras, size, rng)


def _column(values: NDArray[np.float64]) -> Array:
    return values[:, None, None]


def _uniform(rng: np.random.Generator, span: tuple[float, float], n: int) -> Array:
    return _column(rng.uniform(*span, n))


def _normal(rng: np.random.Generator, scale: float, n: int) -> Array:
    return _column(rng.normal(0.0, scale, n))


def _pixels(size: int) -> tuple[Array, Array]:
    """Coordinates x (1, 1, S) and y (1, S, 1) of the pixel centres in [0, 1]."""
    centres = (np.arange(size) + 0.5) / size
    return centres[None, None, :], centres[None, :, None]


def _smooth_field(n: int, size: int, knots: int, rng: np.random.Generator) -> Array:
    """Smooth noise (n, S, S) with unit standard deviation at its knots."""
    position = np.linspace(0.0, knots - 1.0, size)
    weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(knots)))
    weights = weights * weights * (3.0 - 2.0 * weights)
    values: Array = weights @ rng.normal(size=(n, knots, knots)) @ weights.T
    return values


def _background(n: int, size: int, rng: np.random.Generator) -> Array:
    x, y = _pixels(size)
    scene = _uniform(rng, BACKGROUND_HEAT, n) + BACKGROUND_TEXTURE * _smooth_field(n, size, 6, rng)
    horizon = _uniform(rng, (0.35, 0.9), n)
    scene = scene + _uniform(rng, (-0.12, 0.12), n) * _soft((y - horizon) * size)
    for _ in range(WARM_OBJECTS):
        half_width, half_height = _uniform(rng, (0.03, 0.16), n), _uniform(rng, (0.03, 0.25), n)
        box = np.maximum(
            np.abs(x - _uniform(rng, (0, 1), n)) - half_width, np.abs(y - _uniform(rng, (0, 1), n)) - half_height
        )
        present = _column((rng.random(n) < WARM_OBJECT_CHANCE).astype(np.float64))
        scene = _paint(scene, box * size, _uniform(rng, WARM_OBJECT_HEAT, n), present)
    return scene


def _length(x: Array, y: Array) -> Array:
    length: Array = np.sqrt(x * x + y * y)  # several times as quick as np.hypot
    return length


def _soft(distance: Array) -> Array:
    """Coverage of a pixel by a shape, from its signed distance in pixels (negative inside)."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _paint(scene: Array, distance: Array, heat: Array | float, opacity: Array | float = 1.0) -> Array:
    cover = _soft(distance) * opacity
    return scene + cover * (heat - scene)


@dataclass(frozen=True)
class _Pose:
    """The pixel grid in figure coordinates, and how the body stands."""

    x: Array
    y: Array
    unit: Array
    """pixels per body height (n, 1, 1)"""
    facing: Array
    """cosine of the viewpoint: 1 front, 0 side, -1 back"""
    side: Array
    """sine of the viewpoint: the sign says which side"""
    phase: Array
    """of the gait, radians"""

    def half_width(self, breadth: float, depth: float) -> Array:
        """Projected half width of a body part that is an ellipse from above."""
        projected: Array = np.sqrt((breadth * self.facing) ** 2 + (depth * self.side) ** 2)
        return projected

    def capsule(self, start: tuple[Array, Array], end: tuple[Array, Array], r0: float, r1: float) -> Array:
        """Signed distance in pixels to a limb that tapers from r0 to r1."""
        ax, ay, bx, by = *start, *end
        dx, dy = bx - ax, by - ay
        from_x, from_y = self.x - ax, self.y - ay
        along = np.clip((from_x * dx + from_y * dy) / np.maximum(dx * dx + dy * dy, 1e-9), 0.0, 1.0)
        gap = _length(from_x - along * dx, from_y - along * dy) - (r0 + along * (r1 - r0))
        distance: Array = gap * self.unit
        return distance

    def ellipse(self, cx: Array | float, cy: float, rx: Array | float, ry: float) -> Array:
        """About the signed distance in pixels to an ellipse."""
        radius = _length((self.x - cx) / rx, (self.y - cy) / ry)
        distance: Array = (radius - 1.0) * np.minimum(rx, ry) * self.unit
        return distance


def _pose(n: int, size: int, rng: np.random.Generator) -> _Pose:
    x, y = _pixels(size)
    height = _uniform(rng, FIGURE_HEIGHT, n)
    top = (1.0 - height) * _uniform(rng, (0.05, 0.95), n)
    y = (y - top) / height
    x = (x - 0.5 - _uniform(rng, (-SHIFT, SHIFT), n)) / (height * _uniform(rng, STRETCH, n))
    x = x + _normal(rng, LEAN, n) * (y - 0.5)
    view = _column(rng.choice(VIEWS, n)) + _normal(rng, TURN, n)
    phase = _uniform(rng, (0.0, 2 * np.pi), n)
    return _Pose(x, y, height * size, np.cos(view), np.sin(view), phase)


def _figure(scene: Array, who: Traits, size: int, rng: np.random.Generator) -> Array:
    n = len(scene)
    pose = _pose(n, size, rng)

    def worn(heat: float) -> Array:
        return heat + _normal(rng, HEAT_JITTER, n)

    sleeve, trousers, shoes, torso = worn(who.sleeve), worn(who.trousers), worn(who.shoes), worn(who.torso)
    if who.sleeve == who.torso:
        sleeve = torso
    scene = _arm(scene, pose, who, sleeve, far=True)
    for far in (True, False):
        scene = _leg(scene, pose, who, trousers, shoes, far=far)
    scene = _trunk(scene, pose, who, torso, worn(who.band[2]))
    scene = _bag(scene, pose, who)
    scene = _arm(scene, pose, who, sleeve, far=False)
    creases = 1.0 + 0.05 * _smooth_field(n, size, 16, rng)
    return _head(scene, pose, who, worn(who.hair)) * creases


def _limb_side(pose: _Pose, far: bool) -> Array:
    """Which side of the axis a limb hangs from, seen from the front: +1 or -1, projected by the viewpoint."""
    return (1.0 if far else -1.0) * pose.facing


def _leg(scene: Array, pose: _Pose, who: Traits, trousers: Array, shoes: Array, *, far: bool) -> Array:
    angle = STRIDE * np.sin(pose.phase + (np.pi if far else 0.0))
    hip_x = _limb_side(pose, far) * who.hip * 0.52
    hip_y = np.full_like(hip_x, 1.0 - who.leg)
    upper = lower = (who.leg - 0.02) / 2
    bend = 0.5 * np.maximum(0.0, np.cos(pose.phase + (np.pi if far else 0.0))) * STRIDE * 2
    knee = (hip_x + upper * np.sin(angle) * pose.side, hip_y + upper * np.cos(angle))
    foot = (knee[0] + lower * np.sin(angle - bend) * pose.side, knee[1] + lower * np.cos(angle - bend))
    thick = who.limb * LEG_THICKNESS
    shin = _between(knee, foot, max(0.0, who.trouser_length * 2 - 1))
    scene = _paint(scene, pose.capsule(knee, foot, thick * 0.85, thick * 0.6), SKIN_HEAT)
    scene = _paint(scene, pose.capsule(foot, (foot[0] + 0.05 * pose.side, foot[1]), 0.028, 0.022), shoes)
    scene = _paint(scene, pose.capsule((hip_x, hip_y), knee, thick * 1.25, thick), trousers)
    if who.trouser_length > 0.5:
        scene = _paint(scene, pose.capsule(knee, shin, thick, thick * 0.8), trousers)
    if who.seam is not None:
        for start, end in (((hip_x, hip_y + 0.04), knee), (knee, shin)):
            scene = _paint(scene, pose.capsule(start, end, 0.016, 0.014), who.seam)
    return scene


def _arm(scene: Array, pose: _Pose, who: Traits, sleeve: Array, *, far: bool) -> Array:
    """The arm on the far side is drawn before the trunk and the near one after it."""
    angle = 0.8 * STRIDE * np.sin(pose.phase + (0.0 if far else np.pi))
    shoulder = (_limb_side(pose, far) * (who.shoulder - who.limb * 0.6), np.full_like(pose.phase, NECK + 0.045))
    spread = _limb_side(pose, far) * 0.16
    elbow = (
        shoulder[0] + ARM / 2 * (np.sin(angle) * pose.side + spread),
        shoulder[1] + ARM / 2 * np.cos(angle),
    )
    hand = (elbow[0] + ARM / 2 * np.sin(angle + 0.35) * pose.side, elbow[1] + ARM / 2 * np.cos(angle + 0.3))
    scene = _paint(scene, pose.capsule(shoulder, elbow, who.limb, who.limb * 0.85), SKIN_HEAT)
    scene = _paint(scene, pose.capsule(elbow, hand, who.limb * 0.85, who.limb * 0.65), SKIN_HEAT)
    cuff = _between(shoulder, elbow, min(1.0, who.sleeve_length * 2))
    scene = _paint(scene, pose.capsule(shoulder, cuff, who.limb * 1.1, who.limb), sleeve)
    if who.sleeve_length > 0.5:
        scene = _paint(scene, pose.capsule(elbow, _between(elbow, hand, 0.85), who.limb, who.limb * 0.8), sleeve)
    return scene


def _between(start: tuple[Array, Array], end: tuple[Array, Array], share: float) -> tuple[Array, Array]:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _trunk(scene: Array, pose: _Pose, who: Traits, torso: Array, band: Array) -> Array:
    hip_y = 1.0 - who.leg + 0.02 + who.coat
    down = np.clip((pose.y - NECK) / (hip_y - NECK), 0.0, 1.0)
    shoulder, hip = pose.half_width(who.shoulder, 0.075), pose.half_width(who.hip, 0.07)
    waist = who.waist * (shoulder + hip) / 2
    width = np.where(
        down < 0.5, shoulder + (waist - shoulder) * 2 * down, waist + (hip * (1 + who.coat) - waist) * (2 * down - 1)
    )
    width = width * np.sqrt(np.clip(down / 0.10, 0.12, 1.0))
    outline = np.maximum(np.abs(pose.x) - width, np.maximum(NECK - pose.y, pose.y - hip_y)) * pose.unit
    scene = _paint(scene, outline, torso + _print(pose, who.pattern, width))
    centre, half_height, _ = who.band
    if half_height:
        inside = np.maximum(outline, (np.abs(down - centre) - half_height) * (hip_y - NECK) * pose.unit)
        scene = _paint(scene, inside, band)
    if who.zip_heat is not None:
        axis = pose.x - pose.side * 0.07
        line = np.maximum(outline, (np.abs(axis) - 0.018) * pose.unit)
        scene = _paint(scene, line, who.zip_heat, np.clip(pose.facing * 2, 0.0, 1.0))
    return scene


def _print(pose: _Pose, pattern: tuple[str, float], width: Array) -> Array | float:
    """What a pattern adds to the temperature of the trunk; stripes turn with it."""
    kind, period = pattern
    if kind == "plain":
        return 0.0
    rows = np.sin(2 * np.pi * (pose.y - NECK) / period)
    columns = np.cos(2 * np.pi * np.arcsin(np.clip(pose.x / width, -1, 1)) * 0.13 / period)
    wave = {"hoops": rows, "stripes": columns, "checks": rows * columns * 1.6}[kind]
    return PATTERN_CONTRAST * np.clip(1.5 * wave, -0.5, 0.5)


def _bag(scene: Array, pose: _Pose, who: Traits) -> Array:
    if who.bag is None:
        return scene
    kind, heat = who.bag
    if kind == "satchel":
        where = pose.facing * who.hip + pose.side * 0.02
        return _paint(scene, pose.ellipse(where, 1.0 - who.leg + 0.02, 0.065, 0.06), heat)
    behind = -pose.side * 0.085
    half = pose.half_width(0.085, 0.05)
    shape = np.maximum(np.abs(pose.x - behind) - half, np.abs(pose.y - 0.28) - 0.11) * pose.unit
    return _paint(scene, shape, heat, np.clip(1.6 - 2.4 * pose.facing, 0.0, 1.0))


def _head(scene: Array, pose: _Pose, who: Traits, hair: Array) -> Array:
    ahead = pose.side * 0.012
    neck = pose.capsule((ahead * 0.5, np.full_like(ahead, 0.10)), (ahead * 0, np.full_like(ahead, NECK)), 0.03, 0.034)
    scene = _paint(scene, neck, SKIN_HEAT)
    centre = who.head * 1.2
    scene = _paint(scene, pose.ellipse(ahead, centre, who.head, who.head * 1.2), SKIN_HEAT)
    back = -pose.side * 0.5 * who.head
    behind = pose.ellipse(ahead + back, centre * 0.9, who.head * 0.8, who.head * 1.1)
    scene = _paint(scene, behind, hair, np.clip(1.0 - 1.5 * pose.facing, 0.0, 1.0))
    top = np.maximum(
        pose.ellipse(ahead, centre, who.head * 1.04, who.head * 1.24), (pose.y - centre * 0.72) * pose.unit
    )
    scene = _paint(scene, top, hair)
    if who.hat is not None:
        crown = np.maximum(
            pose.ellipse(ahead, centre, who.head * 1.2, who.head * 1.35), (pose.y - centre * 0.62) * pose.unit
        )
        scene = _paint(scene, crown, who.hat)
    return scene


def _occlude(scene: Array, size: int, rng: np.random.Generator) -> Array:
    n = len(scene)
    x, y = _pixels(size)
    extent = _uniform(rng, OCCLUDER_WIDTH, n)
    post = np.abs(x - _uniform(rng, (0.2, 0.8), n)) - extent / 2
    wall = (1.0 - extent) - y
    upright = _column(rng.random(n)) < 0.5
    present = _column((rng.random(n) < OCCLUSION).astype(np.float64))
    heat = _uniform(rng, (0.1, 0.55), n)
    return _paint(scene, np.where(upright, post, wall) * size, heat, present)


def _sense(scene: Array, cameras: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    n = len(scene)
    x, y = _pixels(size)
    scene = _blur(scene, rng.uniform(*BLUR, n) * size / 64)
    gain = _column(np.array(CAMERA_GAIN)[cameras]) * (1.0 + _normal(rng, GAIN_DRIFT, n))
    offset = _column(np.array(CAMERA_OFFSET)[cameras]) + _normal(rng, OFFSET_DRIFT, n)
    slope_x, slope_y = (_uniform(rng, (-GRADIENT, GRADIENT), n) for _ in range(2))
    grey = gain * scene + offset + slope_x * (x - 0.5) + slope_y * (y - 0.5)
    grey = grey + rng.normal(0.0, PIXEL_NOISE, grey.shape) + rng.normal(0.0, ROW_NOISE, (n, size, 1))
    return np.rint(np.clip(grey, 0.0, 1.0) * 255).astype(np.uint8)


def _blur(scene: Array, sigma: NDArray[np.float64]) -> Array:
    """Gaussian blur, each image (n) with its own sigma in pixels."""
    size = scene.shape[1]
    offset = np.arange(size)[:, None] - np.arange(size)[None, :]
    kernel = np.exp(-0.5 * (offset / np.maximum(sigma, 1e-3)[:, None, None]) ** 2)
    kernel /= kernel.sum(axis=2, keepdims=True)
    blurred: Array = kernel @ scene @ kernel.transpose(0, 2, 1)
    return blurred
