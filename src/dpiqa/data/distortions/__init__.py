"""Synthetic distortions: of one photo, mixed as a bad camera does it, and of a whole set of photos."""

from .camera import CAMERA_DISTORTIONS as CAMERA_DISTORTIONS
from .distort import distort as distort
from .distort import distort_to_level as distort_to_level
from .distorted_set import LABELS as LABELS
from .distorted_set import make_distorted_set as make_distorted_set
from .kinds import DISTORTIONS as DISTORTIONS
from .kinds import LEVELS as LEVELS
from .mixture import MAX_STRENGTH as MAX_STRENGTH
from .mixture import Strengths as Strengths
from .mixture import distort_mixed as distort_mixed
