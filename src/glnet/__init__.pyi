"""What type checkers read of the package; what runs is the table in `__init__.py`."""

from glnet.cluster import Cluster as Cluster
from glnet.engines.imported import import_weights as import_weights
from glnet.errors import BundleError as BundleError
from glnet.errors import DataError as DataError
from glnet.errors import GlnetError as GlnetError
from glnet.errors import RasterError as RasterError
from glnet.errors import RecipeError as RecipeError
from glnet.errors import RunError as RunError
from glnet.evaluation.comparison import Comparison as Comparison
from glnet.evaluation.masks import evaluate_masks as evaluate_masks
from glnet.evaluation.model import compare as compare
from glnet.evaluation.model import evaluate as evaluate
from glnet.evaluation.result import Evaluation as Evaluation
from glnet.planning.plan import Plan as Plan
from glnet.planning.plan import plan as plan
from glnet.planning.wishes import Wishes as Wishes
from glnet.prediction.many import Outcome as Outcome
from glnet.prediction.predict import predict as predict
from glnet.prediction.predict import predict_many as predict_many
from glnet.prediction.predict import segment as segment
from glnet.prediction.report import Report as Report
from glnet.prediction.vectorise import PolygonWish as PolygonWish
from glnet.recipe import Recipe as Recipe
from glnet.recipe import load_recipe as load_recipe
from glnet.training.loop import train as train
from glnet.training.records import EpochRecord as EpochRecord
from glnet.training.records import NoteRecord as NoteRecord
from glnet.training.records import StepRecord as StepRecord

__version__: str
