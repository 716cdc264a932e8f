"""Image quality data sets as their authors release them, and your own, in one schema."""

from .load import IQASplits as IQASplits
from .load import load_iqa_dataset as load_iqa_dataset
from .load import load_iqa_splits as load_iqa_splits
from .schema import LabelledPhoto as LabelledPhoto
from .schema import Release as Release
from .source import RELEASES as RELEASES
from .source import DataSource as DataSource
from .splits import assign_splits as assign_splits
from .splits import split_digest as split_digest
