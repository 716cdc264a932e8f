"""Image quality data sets as their authors release them, and your own, in one schema."""

from .load import RELEASES as RELEASES
from .load import IQASplits as IQASplits
from .load import SplitRatings as SplitRatings
from .load import load_iqa_dataset as load_iqa_dataset
from .load import load_iqa_splits as load_iqa_splits
from .load import load_ratings as load_ratings
from .schema import Rating as Rating
from .schema import Release as Release
from .splits import assign_splits as assign_splits
from .splits import split_digest as split_digest
