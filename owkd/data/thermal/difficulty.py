"""How hard the synthetic data are: every constant that weighs identity against nuisance, in one place.

Lengths are in body heights and temperatures in [0, 1], unless said otherwise; (low, high) is a uniform range. What is
set here was measured at 64 px with 60 people and 12 images of each, 30 people tested on: raw pixels reach 0.25 test
mAP, a small ConvNet with batch norm, trained on 24 other people, about 0.88, the nano teacher about 0.79.
"""

import math

# --- identity: what survives every nuisance -------------------------------------------------------------------------
GARMENT_HEATS = (0.36, 0.62, 0.90)  # how thick a garment may be: few levels, so that unseen people recombine known cues
GARMENT_SPREAD = 0.04  # standard deviation around such a level between people
PATTERNS = ("plain", "hoops", "stripes", "checks")  # of quilting or print, on the trunk
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
VIEWS = (0.3, -0.3, math.pi - 0.3, math.pi + 0.3)  # front and back, turned left or right, radians
TURN = 0.07  # standard deviation around these viewpoints, radians
LEAN = 0.01  # standard deviation of the shear of the figure
STRIDE = 0.12  # largest swing of a leg, radians
OCCLUSION = 0.04  # probability of an object in front of the person
OCCLUDER_WIDTH = (0.06, 0.14)  # of a post, as a share of the image; of a low wall its height
WARM_OBJECTS = 2  # largest number of warm things in the background
WARM_OBJECT_CHANCE = 0.10  # probability of each
WARM_OBJECT_HEAT = (0.25, 0.60)  # their temperature
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
