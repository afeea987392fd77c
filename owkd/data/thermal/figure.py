"""The body: drawn part by part, far limbs first, as traits, gait and viewpoint have it.

Shapes: n images of one person, S image side in pixels; arrays over pixels are (n, S, S), over images (n, 1, 1).
Figure coordinates: y = 0 at the crown of the head, y = 1 at the soles, x = 0 on the body axis, in body heights.
"""

from dataclasses import dataclass

import numpy as np

from owkd.data.thermal import difficulty
from owkd.data.thermal.people import Traits
from owkd.data.thermal.raster import Array, column, length, normal, paint, pixels, smooth_field, uniform

ARM = 0.36  # length
NECK = 0.135  # where shoulders and trunk begin


@dataclass(frozen=True)
class _Pose:
    """The pixel grid in figure coordinates, and how the body stands.

    Attributes:
        unit: pixels per body height (n, 1, 1)
        facing: cosine of the viewpoint: 1 front, 0 side, -1 back
        side: sine of the viewpoint: the sign says which side
        phase: of the gait, radians
    """

    x: Array
    y: Array
    unit: Array
    facing: Array
    side: Array
    phase: Array

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
        gap = length(from_x - along * dx, from_y - along * dy) - (r0 + along * (r1 - r0))
        distance: Array = gap * self.unit
        return distance

    def ellipse(self, cx: Array | float, cy: float, rx: Array | float, ry: float) -> Array:
        """About the signed distance in pixels to an ellipse."""
        radius = length((self.x - cx) / rx, (self.y - cy) / ry)
        distance: Array = (radius - 1.0) * np.minimum(rx, ry) * self.unit
        return distance


def _pose(n: int, size: int, rng: np.random.Generator) -> _Pose:
    x, y = pixels(size)
    height = uniform(rng, difficulty.FIGURE_HEIGHT, n)
    top = (1.0 - height) * uniform(rng, (0.05, 0.95), n)
    y = (y - top) / height
    x = (x - 0.5 - uniform(rng, (-difficulty.SHIFT, difficulty.SHIFT), n)) / (
        height * uniform(rng, difficulty.STRETCH, n)
    )
    x = x + normal(rng, difficulty.LEAN, n) * (y - 0.5)
    view = column(rng.choice(np.array(difficulty.VIEWS), n)) + normal(rng, difficulty.TURN, n)
    phase = uniform(rng, (0.0, 2 * np.pi), n)
    return _Pose(x, y, height * size, np.cos(view), np.sin(view), phase)


def draw_figure(scene: Array, who: Traits, size: int, rng: np.random.Generator) -> Array:
    n = len(scene)
    pose = _pose(n, size, rng)

    def worn(heat: float) -> Array:
        return heat + normal(rng, difficulty.HEAT_JITTER, n)

    sleeve, trousers, shoes, torso = worn(who.sleeve), worn(who.trousers), worn(who.shoes), worn(who.torso)
    if who.sleeve == who.torso:
        sleeve = torso
    scene = _arm(scene, pose, who, sleeve, far=True)
    for far in (True, False):
        scene = _leg(scene, pose, who, trousers, shoes, far=far)
    scene = _trunk(scene, pose, who, torso, worn(who.band[2]))
    scene = _bag(scene, pose, who)
    scene = _arm(scene, pose, who, sleeve, far=False)
    creases = 1.0 + 0.05 * smooth_field(n, size, 16, rng)
    return _head(scene, pose, who, worn(who.hair)) * creases


def _limb_side(pose: _Pose, far: bool) -> Array:
    """Which side of the axis a limb hangs from, seen from the front: +1 or -1, projected by the viewpoint."""
    return (1.0 if far else -1.0) * pose.facing


def _leg(scene: Array, pose: _Pose, who: Traits, trousers: Array, shoes: Array, *, far: bool) -> Array:
    angle = difficulty.STRIDE * np.sin(pose.phase + (np.pi if far else 0.0))
    hip_x = _limb_side(pose, far) * who.hip * 0.52
    hip_y = np.full_like(hip_x, 1.0 - who.leg)
    upper = lower = (who.leg - 0.02) / 2
    bend = 0.5 * np.maximum(0.0, np.cos(pose.phase + (np.pi if far else 0.0))) * difficulty.STRIDE * 2
    knee = (hip_x + upper * np.sin(angle) * pose.side, hip_y + upper * np.cos(angle))
    foot = (knee[0] + lower * np.sin(angle - bend) * pose.side, knee[1] + lower * np.cos(angle - bend))
    thick = who.limb * difficulty.LEG_THICKNESS
    shin = _between(knee, foot, max(0.0, who.trouser_length * 2 - 1))
    scene = paint(scene, pose.capsule(knee, foot, thick * 0.85, thick * 0.6), difficulty.SKIN_HEAT)
    scene = paint(scene, pose.capsule(foot, (foot[0] + 0.05 * pose.side, foot[1]), 0.028, 0.022), shoes)
    scene = paint(scene, pose.capsule((hip_x, hip_y), knee, thick * 1.25, thick), trousers)
    if who.trouser_length > 0.5:
        scene = paint(scene, pose.capsule(knee, shin, thick, thick * 0.8), trousers)
    if who.seam is not None:
        for start, end in (((hip_x, hip_y + 0.04), knee), (knee, shin)):
            scene = paint(scene, pose.capsule(start, end, 0.016, 0.014), who.seam)
    return scene


def _arm(scene: Array, pose: _Pose, who: Traits, sleeve: Array, *, far: bool) -> Array:
    """The arm on the far side is drawn before the trunk and the near one after it."""
    angle = 0.8 * difficulty.STRIDE * np.sin(pose.phase + (0.0 if far else np.pi))
    shoulder = (_limb_side(pose, far) * (who.shoulder - who.limb * 0.6), np.full_like(pose.phase, NECK + 0.045))
    spread = _limb_side(pose, far) * 0.16
    elbow = (
        shoulder[0] + ARM / 2 * (np.sin(angle) * pose.side + spread),
        shoulder[1] + ARM / 2 * np.cos(angle),
    )
    hand = (elbow[0] + ARM / 2 * np.sin(angle + 0.35) * pose.side, elbow[1] + ARM / 2 * np.cos(angle + 0.3))
    scene = paint(scene, pose.capsule(shoulder, elbow, who.limb, who.limb * 0.85), difficulty.SKIN_HEAT)
    scene = paint(scene, pose.capsule(elbow, hand, who.limb * 0.85, who.limb * 0.65), difficulty.SKIN_HEAT)
    cuff = _between(shoulder, elbow, min(1.0, who.sleeve_length * 2))
    scene = paint(scene, pose.capsule(shoulder, cuff, who.limb * 1.1, who.limb), sleeve)
    if who.sleeve_length > 0.5:
        scene = paint(scene, pose.capsule(elbow, _between(elbow, hand, 0.85), who.limb, who.limb * 0.8), sleeve)
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
    scene = paint(scene, outline, torso + _print(pose, who.pattern, width))
    centre, half_height, _ = who.band
    if half_height:
        inside = np.maximum(outline, (np.abs(down - centre) - half_height) * (hip_y - NECK) * pose.unit)
        scene = paint(scene, inside, band)
    if who.zip_heat is not None:
        axis = pose.x - pose.side * 0.07
        line = np.maximum(outline, (np.abs(axis) - 0.018) * pose.unit)
        scene = paint(scene, line, who.zip_heat, np.clip(pose.facing * 2, 0.0, 1.0))
    return scene


def _print(pose: _Pose, pattern: tuple[str, float], width: Array) -> Array | float:
    """What a pattern adds to the temperature of the trunk; stripes turn with it."""
    kind, period = pattern
    if kind == "plain":
        return 0.0
    rows = np.sin(2 * np.pi * (pose.y - NECK) / period)
    columns = np.cos(2 * np.pi * np.arcsin(np.clip(pose.x / width, -1, 1)) * 0.13 / period)
    wave = {"hoops": rows, "stripes": columns, "checks": rows * columns * 1.6}[kind]
    return difficulty.PATTERN_CONTRAST * np.clip(1.5 * wave, -0.5, 0.5)


def _bag(scene: Array, pose: _Pose, who: Traits) -> Array:
    if who.bag is None:
        return scene
    kind, heat = who.bag
    if kind == "satchel":
        where = pose.facing * who.hip + pose.side * 0.02
        return paint(scene, pose.ellipse(where, 1.0 - who.leg + 0.02, 0.065, 0.06), heat)
    behind = -pose.side * 0.085
    half = pose.half_width(0.085, 0.05)
    shape = np.maximum(np.abs(pose.x - behind) - half, np.abs(pose.y - 0.28) - 0.11) * pose.unit
    return paint(scene, shape, heat, np.clip(1.6 - 2.4 * pose.facing, 0.0, 1.0))


def _head(scene: Array, pose: _Pose, who: Traits, hair: Array) -> Array:
    ahead = pose.side * 0.012
    neck = pose.capsule((ahead * 0.5, np.full_like(ahead, 0.10)), (ahead * 0, np.full_like(ahead, NECK)), 0.03, 0.034)
    scene = paint(scene, neck, difficulty.SKIN_HEAT)
    centre = who.head * 1.2
    scene = paint(scene, pose.ellipse(ahead, centre, who.head, who.head * 1.2), difficulty.SKIN_HEAT)
    back = -pose.side * 0.5 * who.head
    behind = pose.ellipse(ahead + back, centre * 0.9, who.head * 0.8, who.head * 1.1)
    scene = paint(scene, behind, hair, np.clip(1.0 - 1.5 * pose.facing, 0.0, 1.0))
    top = np.maximum(
        pose.ellipse(ahead, centre, who.head * 1.04, who.head * 1.24), (pose.y - centre * 0.72) * pose.unit
    )
    scene = paint(scene, top, hair)
    if who.hat is not None:
        crown = np.maximum(
            pose.ellipse(ahead, centre, who.head * 1.2, who.head * 1.35), (pose.y - centre * 0.62) * pose.unit
        )
        scene = paint(scene, crown, who.hat)
    return scene
