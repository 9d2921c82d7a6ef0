from .config import ModelConfig as ModelConfig
from .config import TrainConfig as TrainConfig
from .data.dataset import open_dataset as open_dataset
from .errors import AlexNetError as AlexNetError
from .errors import UsageError as UsageError
from .net.features import features as features
from .net.model import AlexNet as AlexNet
from .ops.backends import use_forms as use_forms
from .perceptual.lpips import lpips as lpips
from .preprocessing.augment import preprocess as preprocess
from .preprocessing.statistics import Statistics as Statistics
from .presets import preset as preset
from .training.inputs import check_batch as check_batch
from .training.state import TrainState as TrainState
from .training.state import create_train_state as create_train_state
from .training.steps import eval_step as eval_step
from .training.steps import loss_fn as loss_fn
from .training.steps import predict_step as predict_step
from .training.steps import train_step as train_step
from .training.steps import train_steps as train_steps
from .variants import variant as variant
from .weights.pretrained import pretrained as pretrained
from .weights.read import load_run as load_run
from .weights.read import load_weights as load_weights
from .weights.weights import Weights as Weights

__version__: str
